import type { Disturbance, Happening } from '../../src/console/feed-messages.js';

/** What an operator did to the fleet, and how much longer it lasts. Pure. */

const DONE: Readonly<Record<Disturbance, (worker: string) => string>> = {
  kill: (worker) => `killed ${worker}`,
  pause: (worker) => `paused ${worker}`,
  slow: (worker) => `slowed ${worker} down`,
  'cut-off': (worker) => `cut ${worker} off`,
  corrupt: (worker) => `let ${worker} send corrupt blocks`,
  stop: () => 'stopped NATS',
};

/** Such as `an operator paused worker-2 for 5 s`. */
export function disturbanceText({ fault = 'kill', worker, seconds }: Happening): string {
  // A newer coordinator may know more faults.
  const done = DONE[fault]?.(worker ?? '') ?? `began a fault: ${fault}`;
  return `an operator ${done}${seconds === undefined ? '' : ` for ${seconds} s`}`;
}

/** The disturbances that last, each with the whole seconds that are left, the newest first. */
export function lasting(
  happened: readonly Happening[],
  now: number,
): { readonly text: string; readonly left: number }[] {
  return happened.flatMap((happening) => {
    const left =
      happening.seconds === undefined ? 0 : Math.ceil((happening.at + 1_000 * happening.seconds - now) / 1_000);
    return happening.kind === 'disturbed' && left > 0 ? [{ text: disturbanceText(happening), left }] : [];
  });
}

/**
 * The worker that a reader has chosen to disturb, or the first one that lives. One that died stays chosen until the reader chooses another: a second kill
 * must not hit a healthy one.
 */
export function chosenWorker(chosen: string | null, living: readonly string[]): string | null {
  return chosen ?? living[0] ?? null;
}

/** The workers that send corrupt blocks now, by order. */
export function corruptWorkers(happened: readonly Happening[], now: number): readonly string[] {
  const corrupt = happened.filter(
    ({ kind, fault, at, seconds = 0 }) => kind === 'disturbed' && fault === 'corrupt' && at + 1_000 * seconds > now,
  );
  return [...new Set(corrupt.flatMap(({ worker }) => worker ?? []))];
}

/** Time after the end of a corruption in which its last refusals are told, and for which its outcome stays on the page. */
const [REFUSALS_MS, OUTCOME_MS] = [3_000, 60_000];

/** What has come of the latest order to send corrupt blocks; null if there was none within the last minute. */
export function corruptionOutcome(happened: readonly Happening[], now: number): string | null {
  const order = happened.find(({ kind, fault }) => kind === 'disturbed' && fault === 'corrupt');
  if (order === undefined) return null;
  const { at, seconds = 0, worker } = order;
  const endMs = at + 1_000 * seconds;
  if (now > endMs + OUTCOME_MS) return null;
  const refusals = happened.filter((each) => each.kind === 'damaged' && each.from === worker && each.at >= at);
  const by = [...new Set(refusals.map((each) => each.worker))].toSorted().join(' and ');
  if (by !== '') return `${by} noticed the wrong bytes, and refused the blocks of ${worker}.`;
  if (now < endMs + REFUSALS_MS) return `So far no other worker has been sent a block of ${worker}.`;
  return `No other worker was sent a block of ${worker}, so none was refused. Keep asking meanwhile, and order it again.`;
}
