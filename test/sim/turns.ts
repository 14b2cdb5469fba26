import { createRequire, syncBuiltinESMExports } from 'node:module';

/**
 * Runs the work of this process's event loop within a simulation: promise callbacks, `process.nextTick` and `setImmediate`. Nothing here waits
 * for real time, so that the order of all work depends on the simulation alone.
 */

type Turn = () => void;

/** A process that takes more turns than this without time passing never comes to rest. */
const TURNS_AT_REST = 100_000;

const turns: Turn[] = [];
let taken = false;

/** Runs the promise callbacks and next ticks that are pending, and those that they add. Node has no other synchronous call for that. */
const runTicks = (process as unknown as { _tickCallback(): void })._tickCallback;

const settled = Promise.resolve();

/**
 * Replaces `setImmediate`, of this process for good, by a queue that `rest` empties, and `queueMicrotask` by a promise callback, which comes at the
 * same moment and costs a tenth. Idempotent.
 */
export function takeTurns(): void {
  if (taken) return;
  taken = true;
  const promises = createRequire(import.meta.url)('node:timers/promises') as { setImmediate: unknown };
  promises.setImmediate = (value: unknown) => new Promise((resolve) => turns.push(() => resolve(value)));
  syncBuiltinESMExports();
  globalThis.setImmediate = ((turn: (...args: unknown[]) => void, ...args: unknown[]) => {
    turns.push(() => turn(...args));
  }) as typeof setImmediate;
  globalThis.queueMicrotask = (turn) => void settled.then(turn);
}

/** Runs all pending work, and what it adds, until none is left. @throws Error if there is no end to it */
export function rest(): void {
  runTicks();
  for (let count = 0; turns.length > 0; count++) {
    if (count > TURNS_AT_REST) {
      turns.length = 0;
      throw new Error(`the process does not come to rest: over ${TURNS_AT_REST} turns of its event loop at one moment`);
    }
    turns.shift()!();
    runTicks();
  }
}

/** Forgets the work of an earlier simulation. */
export function forgetTurns(): void {
  turns.length = 0;
}
