import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { FeedWorker } from '../../src/console/feed-messages.js';
import { byteText, percent } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { ActionButton, type AskedAction, actionsFor, Confirmation } from './worker-actions.js';

/** The workers in a table. */

export interface WorkerTableProps {
  readonly workers: readonly FeedWorker[];
  readonly api: Api;
  /** Whether the reader may act, and kill. */
  readonly operator: boolean;
  readonly chaos: boolean;
  readonly selected: string | null;
  readonly onSelect: (worker: string | null) => void;
}

export function WorkerTable({ workers, api, operator, chaos, selected, onSelect }: WorkerTableProps) {
  const [asked, setAsked] = useState<AskedAction | null>(null);
  return (
    <section class="card" aria-labelledby="workers-title">
      <h2 id="workers-title">Workers</h2>
      <div class="scroll">
        <table>
          <Head operator={operator} />
          <tbody>
            {workers.map((worker) => (
              <Row key={worker.id} worker={worker} selected={selected === worker.id} onSelect={onSelect}>
                {operator && (
                  <td>
                    <span class="actions">
                      {actionsFor(worker, chaos).map((action) => (
                        <ActionButton key={action} asked={{ action, id: worker.id }} onAsk={setAsked} />
                      ))}
                    </span>
                  </td>
                )}
              </Row>
            ))}
          </tbody>
        </table>
      </div>
      <Confirmation asked={asked} api={api} onClose={() => setAsked(null)} />
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
  const { id, state, blocks, running, waiting, hit_rate: hits } = worker;
  return (
    <tr
      class={`${state}${selected ? ' selected' : ''}`}
      onMouseEnter={() => onSelect(id)}
      onMouseLeave={() => onSelect(null)}
    >
      <th scope="row">{id}</th>
      <td>
        <State worker={worker} />
      </td>
      <td class="number">{blocks.toLocaleString('en')}</td>
      <td>
        <Memory worker={worker} />
      </td>
      <td class="number">
        {running} / {waiting}
      </td>
      <td class="number">{percent(hits, 1)}</td>
      {children}
    </tr>
  );
}

function State({ worker: { state, quarantined } }: { readonly worker: FeedWorker }) {
  return (
    <span class={`state ${state}`}>
      <span class="mark" aria-hidden="true" />
      {quarantined ? 'quarantined' : state}
    </span>
  );
}

function Memory({ worker: { bytes, budget } }: { readonly worker: FeedWorker }) {
  return (
    <span class="memory">
      <meter min={0} max={Math.max(1, budget)} value={bytes} aria-label="Memory for blocks in use" />
      <span class="number">
        {byteText(bytes)} of {byteText(budget)}
      </span>
    </span>
  );
}
