import type { Handle } from './handle.js';
import { commitMemory } from './libc.js';

const COMMIT_STEP_BYTES = 4 * 2 ** 20;

/** Backs bytes `[from, to)` of native memory with physical pages, off this thread, and keeps the memory alive. */
export async function commitInSteps(memory: Handle, from: number, to: number): Promise<void> {
  const { pointer } = memory;
  memory.addReference();
  try {
    // In small steps: during each, the kernel blocks every other change of the process's address space, on all threads.
    for (let at = from; at < to; at += COMMIT_STEP_BYTES) {
      await commitMemory(pointer + at, Math.min(COMMIT_STEP_BYTES, to - at));
    }
  } finally {
    memory.dropReference();
  }
}
