import type { TimedFlow } from '../feed/fleet-model.js';
import { ScrollRegion } from '../parts/scroll-region.js';
import { flowSums } from './flow-legs.js';

/** The blocks that went from worker to worker in the last minute. */

const MINUTE_MS = 60_000;
/** Rows of the table. */
const ROWS = 8;

export function MovingBlocks({ flows, now }: { readonly flows: readonly TimedFlow[]; readonly now: number }) {
  const sums = flowSums(flows, now - MINUTE_MS);
  return (
    <section class="card" aria-labelledby="moving-title">
      <h2 id="moving-title">Blocks on the move</h2>
      <p class="hint">
        In the last minute, as the receivers count them. A worker <em>fetches</em> blocks for a request. It gets{' '}
        <em>copies</em> of new blocks whose home it is, and after a death to make good for the ones that were lost.
      </p>
      {sums.length === 0 && <p class="hint">None.</p>}
      {sums.length > 0 && (
        <ScrollRegion label="Table: blocks on the move">
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">To</th>
                <th scope="col" class="number">
                  Fetched
                </th>
                <th scope="col" class="number">
                  Copies
                </th>
              </tr>
            </thead>
            <tbody>
              {sums.slice(0, ROWS).map(({ from, to, fetched, copied }) => (
                <tr key={`${from} ${to}`}>
                  <th scope="row">{from}</th>
                  <td>{to}</td>
                  <td class="number">{fetched.toLocaleString('en')}</td>
                  <td class="number">{copied.toLocaleString('en')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
      {sums.length > ROWS && <p class="hint">And {sums.length - ROWS} other pairs of workers.</p>}
    </section>
  );
}
