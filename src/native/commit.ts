import type { Handle } from './handle.js';
import { commitMemory } from './libc.js';

/** Memory that is had from the system in one step. */
const COMMIT_STEP_BYTES = 4 * 2 ** 20;

/** Has the system back bytes `[from, to)` of some memory with real memory, off this thread. The memory is held meanwhile. */
export async function commitInSteps(memory: Handle, from: number, to: number): Promise<void> {
  const { pointer } = memory;
  memory.hold();
  try {
    // Little by little: meanwhile the system makes other changes of the process's memory wait, on whatever thread.
    for (let at = from; at < to; at += COMMIT_STEP_BYTES) {
      await commitMemory(pointer + at, Math.min(COMMIT_STEP_BYTES, to - at));
    }
  } finally {
    memory.drop();
  }
}
