import { vi } from 'vitest';
import { SharedMemory } from '../../../../src/native/shared-memory.js';
import { NativeMemory } from '../../../../src/ort/memory.js';
import { OrtError } from '../../../../src/ort/ort-error.js';

/** From now on the system has no memory for blocks, until `vi.restoreAllMocks`. */
export function refuseMemory(): void {
  vi.spyOn(SharedMemory, 'allocate').mockReturnValue(null);
  vi.spyOn(NativeMemory, 'allocate').mockImplementation(() => {
    throw new OrtError('allocating host memory', 'std::bad_alloc', 6);
  });
}
