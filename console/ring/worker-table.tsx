import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { FeedWorker } from '../../src/console/feed-messages.js';
import { addressOf } from '../parts/address.js';
import { Confirmation } from '../parts/confirmation.js';
import type { Deed } from '../parts/deed.js';
import { ScrollRegion } from '../parts/scroll-region.js';
import { percent } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { isLiving } from '../workers/living.js';
import { RoundedCounts } from '../workers/rounded-counts.js';
import { WorkerActions } from '../workers/worker-actions.js';
import { WorkerMemory, WorkerState } from '../workers/worker-cells.js';
import { shortRows } from './table-rows.js';

/** The workers in a table. */

export interface WorkerTableProps {
  readonly workers: readonly FeedWorker[];
  readonly api: Api;
  /** Whether the reader may act, and kill. */
  readonly operator: boolean;
  readonly chaos: boolean;
  readonly selected: string | null;
  /** The worker that was chosen on the ring; null for none. */
  readonly followed: string | null;
  readonly onSelect: (worker: string | null) => void;
}

export function WorkerTable({ workers, api, operator, chaos, selected, followed, onSelect }: WorkerTableProps) {
  const [deed, setDeed] = useState<Deed | null>(null);
  const [all, setAll] = useState(false);
  // A row that is pointed at stays where it is.
  const short = shortRows(workers, followed);
  const rows = all ? workers : short;
  return (
    <section class="card" aria-labelledby="workers-title">
      <h2 id="workers-title">Workers</h2>
      <ScrollRegion label="Table: workers" class="stacking">
        <table>
          <Head operator={operator} />
          <tbody>
            {rows.map((worker) => (
              <Row key={worker.id} worker={worker} selected={selected === worker.id} onSelect={onSelect}>
                {operator && (
                  <td>
                    <span class="actions">
                      <WorkerActions {...{ worker, chaos, api }} onAsk={setDeed} />
                    </span>
                  </td>
                )}
              </Row>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
      {!operator && workers.length > 0 && <RoundedCounts />}
      {short.length < workers.length && (
        <p class="buttons">
          <button type="button" class="small" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show all ${workers.length}`}
          </button>
        </p>
      )}
      <Confirmation deed={deed} onClose={() => setDeed(null)} />
    </section>
  );
}

function Head({ operator }: { readonly operator: boolean }) {
  return (
    <thead>
      <tr>
        <th scope="col">Worker</th>
        <th scope="col">State</th>
        <th scope="col" class="number">
          Blocks
        </th>
        <th scope="col">Memory</th>
        <th scope="col" class="number" title="Requests that run, and requests that wait">
          Run / wait
        </th>
        <th scope="col" class="number" title="Share of prompt tokens that the worker did not have to compute">
          Hits
        </th>
        {operator && <th scope="col">Actions</th>}
      </tr>
    </thead>
  );
}

interface RowProps extends Pick<WorkerTableProps, 'onSelect'> {
  readonly worker: FeedWorker;
  readonly selected: boolean;
  /** Further cells. */
  readonly children: ComponentChildren;
}

function Row({ worker, selected, onSelect, children }: RowProps) {
  const living = isLiving(worker);
  const { id, state, blocks, running, waiting, hit_rate: hits } = worker;
  return (
    <tr
      class={`${state}${selected ? ' selected' : ''}`}
      onMouseEnter={() => onSelect(id)}
      onMouseLeave={() => onSelect(null)}
    >
      <th scope="row">
        <a href={addressOf('workers', { filter: id })}>{id}</a>
      </th>
      <td data-title="State">
        <WorkerState worker={worker} />
      </td>
      <td class="number" data-title="Blocks">
        {living ? blocks.toLocaleString('en') : '–'}
      </td>
      <td data-title="Memory">{living ? <WorkerMemory worker={worker} short /> : '–'}</td>
      <td class="number" data-title="Run / wait">
        {living ? `${running} / ${waiting}` : '–'}
      </td>
      <td class="number" data-title="Hits">
        {living ? percent(hits, 1) : '–'}
      </td>
      {children}
    </tr>
  );
}
