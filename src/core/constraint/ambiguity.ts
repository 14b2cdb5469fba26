import { ConstraintMachine, type Position, TooAmbiguous } from './machine.js';
import type { Program } from './program.js';

/** Bytes of the text that is tried, and those after which it must be at more places than before. */
const PROBE_STEPS = 2_048;
const PROBE_PATIENCE = 16;
const PROBE_WORK = 4_000_000;
const PROBE_MACHINE_BYTES = 8 * 2 ** 20;

/**
 * Follows the text that is at the most places of a program at once, so that a constraint that would be refused in the middle of an answer is
 * refused at once. It does not find every such constraint.
 * @throws TooAmbiguous if a text is at more places than a machine follows
 */
export function checkAmbiguity(program: Program): void {
  const machine = new ConstraintMachine(program, PROBE_MACHINE_BYTES);
  try {
    machine.within(PROBE_WORK, () => follow(machine));
  } catch (error) {
    // Other limits, such as the one on levels, do not affect shorter texts.
    if (error instanceof TooAmbiguous) throw error;
  }
}

function follow(machine: ConstraintMachine): void {
  let most = 0;
  let idle = 0;
  let position: Position | null = machine.start;
  for (let step = 0; position !== null && step < PROBE_STEPS && idle < PROBE_PATIENCE; step++) {
    if (position.configs.length > most) [most, idle] = [position.configs.length, 0];
    else idle++;
    position = widest(machine, position);
  }
}

/** The next position from which the same byte again leads to the most places; null at the end of the text. */
function widest(machine: ConstraintMachine, position: Position): Position | null {
  let best: Position | null = null;
  let most = -1;
  for (const [byte, byteClass] of machine.classOf.entries()) {
    if (byte > 0 && machine.classOf[byte - 1] === byteClass) continue;
    const next = position.next(byte);
    // Only a byte that may be repeated shows how places add up: one that begins an escape is at many places, but soon no longer.
    const places = next?.next(byte)?.configs.length ?? 0;
    if (next !== null && places > most) [best, most] = [next, places];
  }
  return best;
}
