import type { FeedSegment } from '../../src/console/feed-messages.js';
import { ScrollRegion } from '../parts/scroll-region.js';
import { type CopyRole, copiesOf } from './segment-cells.js';

/** The segments that requests find most often, with the workers that have them. */

/** Rows of the table; the ring shows more. */
const ROWS = 8;
const ROLE_NAMES: Readonly<Record<CopyRole, string>> = { home: 'home', guest: 'guest', lacking: 'still lacks it' };

export interface HotSegmentsProps {
  readonly segments: ReadonlyMap<string, FeedSegment>;
  /** The segment whose copies are marked on the ring; null for none. */
  readonly chosen: string | null;
  readonly onChoose: (segment: string | null) => void;
}

export function HotSegments({ segments, chosen, onChoose }: HotSegmentsProps) {
  const hottest = [...segments.values()].toSorted((a, b) => b.hits - a.hits).slice(0, ROWS);
  return (
    <section class="card" aria-labelledby="hot-title">
      <h2 id="hot-title">Hot segments</h2>
      <p class="hint">
        A segment is up to eight consecutive blocks of a prompt. The ring gives each segment its homes, which keep it;
        other workers that computed or fetched it are its guests.
      </p>
      {hottest.length === 0 && <p class="hint">None now: a request with a full block of 64 tokens brings one here.</p>}
      {hottest.length > 0 && (
        <ScrollRegion label="Table: hot segments" class="stacking">
          <table>
            <thead>
              <tr>
                <th scope="col">Segment</th>
                <th
                  scope="col"
                  class="number"
                  title="Requests of this coordinator that found it in about the last minute"
                >
                  Hits a minute
                </th>
                <th scope="col" class="number">
                  Blocks
                </th>
                <th scope="col">Copies</th>
              </tr>
            </thead>
            <tbody>
              {hottest.map((segment) => (
                <Row key={segment.id} segment={segment} chosen={chosen === segment.id} onChoose={onChoose} />
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </section>
  );
}

interface RowProps extends Pick<HotSegmentsProps, 'onChoose'> {
  readonly segment: FeedSegment;
  readonly chosen: boolean;
}

function Row({ segment, chosen, onChoose }: RowProps) {
  return (
    <tr class={chosen ? 'selected' : ''}>
      <th scope="row">
        <button
          type="button"
          class="small"
          aria-pressed={chosen}
          title="Mark its copies on the ring"
          onClick={() => onChoose(chosen ? null : segment.id)}
        >
          {segment.id.slice(0, 8)}
        </button>
      </th>
      <td class="number" data-title="Hits a minute">
        {segment.hits}
      </td>
      <td class="number" data-title="Blocks">
        {segment.blocks}
      </td>
      <td>
        <span class="copies">
          {copiesOf(segment).map(({ worker, role }) => (
            <span key={worker}>
              <span class={`copy ${role}`} aria-hidden="true" />
              {worker} {segment.homes.length > 0 && <span class="hint">{ROLE_NAMES[role]}</span>}
            </span>
          ))}
        </span>
      </td>
    </tr>
  );
}
