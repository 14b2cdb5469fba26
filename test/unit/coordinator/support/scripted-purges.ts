import type { Purge } from '../../../../coordinator/purge/purge.js';
import type { Purges } from '../../../../coordinator/purge/purges.js';
import { packKeys } from '../../../../src/core/key.js';
import type { PurgeSelector } from '../../../../src/core/purge-selector.js';

/** Purges that no fleet carries out. */
export class ScriptedPurges implements Purges {
  readonly ordered: { readonly purge: Purge; readonly selector: PurgeSelector }[] = [];

  async order(what: Purge['what'], selector: PurgeSelector, owner: string | null): Promise<Purge> {
    const id = `purge-${String(this.ordered.length).padStart(24, '0')}`;
    const counts = { device: 3, host: 0, disk: 2, blocks: 3, replicas: 1, complete: true };
    const rows: Purge['rows'] = [
      { worker: 'w1', incarnation: 'a', state: 'done', counts },
      {
        worker: 'w2',
        incarnation: 'b',
        state: 'unreachable',
        counts: { ...counts, device: 0, disk: 0, blocks: 0, replicas: 0 },
      },
    ];
    const keys = packKeys([...selector.keys]);
    const purge = { id, owner, what, labels: [...selector.labels], keys, createdMs: 1_700_000_000_000, pins: 0, rows };
    this.ordered.push({ purge, selector });
    return purge;
  }

  async get(id: string): Promise<Purge | null> {
    return this.ordered.find(({ purge }) => purge.id === id)?.purge ?? null;
  }
}
