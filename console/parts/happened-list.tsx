import type { Happening } from '../../src/console/feed-messages.js';
import { happeningText, isTrouble } from './words.js';

/** Events with their times. */
export function HappenedList({
  happened,
  timeOf,
  numbered = false,
}: {
  readonly happened: readonly Happening[];
  readonly timeOf: (at: number) => string;
  /** Whether each has its number, from the oldest on; the newest stands first. */
  readonly numbered?: boolean;
}) {
  return (
    <ol class="happened">
      {happened.map((happening, index) => (
        <li
          key={`${happening.at} ${happening.kind} ${happening.worker} ${happening.from}`}
          class={isTrouble(happening) ? 'trouble' : ''}
        >
          {numbered && <b class="number">{happened.length - index}</b>}
          <time>{timeOf(happening.at)}</time>
          {happeningText(happening)}
        </li>
      ))}
    </ol>
  );
}
