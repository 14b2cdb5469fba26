import { useEffect, useState } from 'preact/hooks';
import type { CachePurge } from '../../src/console/cache-answers.js';
import { type Column, DataTable } from '../parts/data-table.js';
import type { Api } from '../session/api.js';
import { receiptSentence } from './receipt-words.js';

/** The receipt of a purge: the dropped blocks, values and answers by worker, and the workers that have not answered yet. */

const REFRESH_MS = 2_000;

type ReceiptRow = CachePurge['workers'][number];

const COLUMNS: readonly Column<ReceiptRow>[] = [
  { key: 'id', title: 'Worker', value: ({ id }) => id },
  {
    key: 'state',
    title: 'State',
    value: ({ state }) => (state === 'done' ? 'done' : 'not reached: it purges when it is back'),
  },
  { key: 'blocks', title: 'Blocks dropped', numeric: true, value: ({ blocks }) => blocks },
  { key: 'device', title: 'On the device', numeric: true, value: ({ device }) => device },
  { key: 'host', title: 'In host memory', numeric: true, value: ({ host }) => host },
  { key: 'disk', title: 'On disk', numeric: true, value: ({ disk }) => disk },
  { key: 'values', title: 'Values', numeric: true, value: ({ values }) => values },
  { key: 'responses', title: 'Stored answers', numeric: true, value: ({ responses }) => responses },
];

export function PurgeReceipt({ api, ordered }: { readonly api: Api; readonly ordered: CachePurge }) {
  const purge = useReceipt(api, ordered);
  return (
    <section class="card" aria-labelledby="receipt-title">
      <h2 id="receipt-title">Receipt</h2>
      <p role="status">{receiptSentence(purge)}</p>
      <p class="hint">
        {purge.id}, ordered at {new Date(purge.created_at * 1_000).toLocaleString('en-GB')}. The receipt is kept for 30
        days.
      </p>
      <DataTable
        name="workers of the receipt"
        rows={purge.workers}
        columns={COLUMNS}
        rowKey={({ id }) => id}
        empty="The fleet had no worker."
      />
    </section>
  );
}

/** The receipt as it is now; it grows until it is complete. */
function useReceipt(api: Api, ordered: CachePurge): CachePurge {
  const [latest, setLatest] = useState<CachePurge | null>(null);
  const purge = latest?.id === ordered.id ? latest : ordered;
  const { id, state } = purge;
  useEffect(() => {
    if (state === 'complete') return;
    const ask = () => api.get<CachePurge>(`/v1/cache/purge/${id}`).then(setLatest, () => {});
    const timer = setInterval(ask, REFRESH_MS);
    return () => clearInterval(timer);
  }, [api, id, state]);
  return purge;
}
