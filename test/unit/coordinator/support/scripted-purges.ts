import { NOTHING_DROPPED, type Purge } from '../../../../coordinator/purge/purge.js';
import type { Purges } from '../../../../coordinator/purge/purges.js';
import { packKeys } from '../../../../src/core/key.js';
import { sampleOf } from '../../../../src/core/key-sample.js';
import type { PurgeSelector } from '../../../../src/core/purge-selector.js';

/** Purges that no fleet carries out. */
export class ScriptedPurges implements Purges {
  readonly ordered: { readonly purge: Purge; readonly selector: PurgeSelector }[] = [];

  async order(what: Purge['what'], selector: PurgeSelector, owner: string | null): Promise<Purge> {
    const id = `purge-${String(this.ordered.length).padStart(24, '0')}`;
    const counts = { device: 3, host: 0, disk: 2, blocks: 3, replicas: 1, values: 5, responses: 4, complete: true };
    const rows: Purge['rows'] = [
      { worker: 'w1', incarnation: 'a', state: 'done', counts },
      {
        worker: 'w2',
        incarnation: 'b',
        state: 'unreachable',
        counts: { ...NOTHING_DROPPED, complete: true },
      },
    ];
    const dropped = { sample: sampleOf(['a', 'b'].map((digit) => digit.repeat(64))), unsampled: 0 };
    const keys = packKeys([...selector.keys]);
    const chosen = { labels: [...selector.labels], keys, objects: null };
    const purge = { id, owner, what, ...chosen, createdMs: 1_700_000_000_000, pins: 0, answers: 6, ...dropped, rows };
    this.ordered.push({ purge, selector });
    return purge;
  }

  async get(id: string): Promise<Purge | null> {
    return this.ordered.find(({ purge }) => purge.id === id)?.purge ?? null;
  }
}
