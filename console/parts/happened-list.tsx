import type { Happening } from '../../src/console/feed-messages.js';
import { happeningText, isTrouble } from './words.js';

/** Events with their times. */
export function HappenedList({
  happened,
  timeOf,
}: {
  readonly happened: readonly Happening[];
  readonly timeOf: (at: number) => string;
}) {
  return (
    <ol class="happened">
      {happened.map((happening) => (
        <li
          key={`${happening.at} ${happening.kind} ${happening.worker} ${happening.from}`}
          class={isTrouble(happening) ? 'trouble' : ''}
        >
          <time>{timeOf(happening.at)}</time>
          {happeningText(happening)}
        </li>
      ))}
    </ol>
  );
}
