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
