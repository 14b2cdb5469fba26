import { useState } from 'preact/hooks';
import type { FeedWorker } from '../../src/console/feed-messages.js';
import type { FeedConnection } from '../feed/connection.js';
import { useStore } from '../feed/use-store.js';
import { addressOf } from '../parts/address.js';
import { Confirmation } from '../parts/confirmation.js';
import { type Column, DataTable } from '../parts/data-table.js';
import type { Deed } from '../parts/deed.js';
import { percent } from '../parts/words.js';
import type { Api } from '../session/api.js';
import { isLiving } from './living.js';
import { RoundedCounts } from './rounded-counts.js';
import { WorkerActions } from './worker-actions.js';
import { WorkerMemory, WorkerState } from './worker-cells.js';

/** All workers, to sort, filter and act on. */

const REFRESH_MS = 500;

const COLUMNS: readonly Column<FeedWorker>[] = [
  { key: 'id', title: 'Worker', value: ({ id }) => id },
  {
    key: 'state',
    title: 'State',
    value: ({ state, quarantined }) => (quarantined ? 'quarantined' : state),
    cell: (worker) => <WorkerState worker={worker} />,
  },
  { key: 'device', title: 'Device', help: 'What computes', value: ({ device }) => device },
  {
    key: 'blocks',
    title: 'Blocks',
    help: 'Blocks of 64 tokens in its memory',
    numeric: true,
    value: (worker) => (isLiving(worker) ? worker.blocks : null),
  },
  {
    key: 'memory',
    title: 'Memory',
    help: 'Memory for blocks: sorted by the share in use',
    numeric: true,
    value: (worker) => (isLiving(worker) ? worker.bytes / Math.max(1, worker.budget) : null),
    cell: (worker) => (isLiving(worker) ? <WorkerMemory worker={worker} /> : '–'),
  },
  {
    key: 'running',
    title: 'Running',
    help: 'Requests that run',
    numeric: true,
    value: (worker) => (isLiving(worker) ? worker.running : null),
  },
  {
    key: 'waiting',
    title: 'Waiting',
    help: 'Requests that wait',
    numeric: true,
    value: (worker) => (isLiving(worker) ? worker.waiting : null),
  },
  {
    key: 'hits',
    title: 'Hits',
    help: 'Share of prompt tokens that the worker did not have to compute',
    numeric: true,
    value: (worker) => (isLiving(worker) ? worker.hit_rate : null),
    cell: (worker) => (isLiving(worker) ? percent(worker.hit_rate, 1) : '–'),
  },
  {
    key: 'requests',
    title: 'Its requests',
    value: () => null,
    cell: ({ id }) => <a href={addressOf('requests', { worker: id })}>requests</a>,
  },
];

export interface WorkersPageProps {
  readonly api: Api;
  readonly feed: FeedConnection;
  /** Words that are in the filter at first. */
  readonly filter: string;
}

export function WorkersPage({ api, feed, filter }: WorkersPageProps) {
  const { workers, hello } = useStore(feed.model, REFRESH_MS);
  const [deed, setDeed] = useState<Deed | null>(null);
  const operates = hello?.role === 'operator';
  const chaos = hello?.chaos === true;
  return (
    <section class="card" aria-labelledby="workers-title">
      <h1 id="workers-title">Workers</h1>
      <DataTable
        key={filter}
        name="workers"
        rows={[...workers.values()]}
        columns={COLUMNS}
        rowKey={({ id }) => id}
        filter={filter}
        empty="No worker has announced itself yet."
        {...(operates && {
          actions: (worker: FeedWorker) => <WorkerActions {...{ worker, chaos, api }} onAsk={setDeed} />,
        })}
      />
      <Confirmation deed={deed} onClose={() => setDeed(null)} />
      {hello?.role === 'user' && <RoundedCounts />}
      {hello?.role === 'user' && <p class="hint">Draining a worker needs the key of an operator.</p>}
    </section>
  );
}
