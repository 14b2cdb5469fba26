import type { CachePurge } from '../../src/console/cache-answers.js';
import { counted } from '../parts/words.js';

/** The sentence of a purge's receipt. */

/** The progress of a purge, in words. Pure. */
export function receiptSentence({ state, dropped, exact, pins, answers, workers }: CachePurge): string {
  const done = workers.filter((row) => row.state === 'done').length;
  const pinsEnded = pins === 0 ? '' : ` It ended ${counted(pins, 'pin')}.`;
  const ended =
    answers === 0 ? pinsEnded : `${pinsEnded} Coordinators forgot ${counted(answers, 'answer')} for retries.`;
  const blocks = `${counted(dropped.device + dropped.host + dropped.disk, 'copy').replace('copys', 'copies')} of ${exact ? '' : 'about '}${counted(dropped.blocks, 'block')}`;
  const objects = dropped.values + dropped.responses;
  const copies = objects === 0 ? blocks : `${blocks}, and ${objects} of values and stored answers`;
  return state === 'complete'
    ? `Complete: ${counted(done, 'worker')} dropped ${copies}.${ended}`
    : `Not complete: ${done} of ${counted(workers.length, 'worker')} dropped ${copies}; the others do it when they answer.${ended}`;
}
