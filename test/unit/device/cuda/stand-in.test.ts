import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type NativeFunction, type Pointer, viewMemory } from '../../../../src/native/ffi.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { CudaProvider } from '../../../support/cuda/cuda-provider.js';

/** The stand-in for CUDA refuses what the headers forbid: otherwise the tests over it would prove little. */

const TYPES = {
  copy2D: ['uintptr_t', 'size_t', 'uintptr_t', 'size_t', 'size_t', 'size_t', 'int', 'uintptr_t'],
  upload: ['uintptr_t', 'void *', 'size_t', 'int'],
};

describe('the stand-in for CUDA', () => {
  let runtime: OrtRuntime;
  let gpu: CudaProvider;
  let memory: Pointer;
  let copy2D: NativeFunction<number[], number>;
  let synchronize: NativeFunction<number[], number>;
  beforeEach(() => {
    runtime = OrtRuntime.open();
    gpu = new CudaProvider(runtime);
    memory = gpu.heap.allocate(256)!;
    copy2D = gpu.library.function('cudaMemcpy2DAsync', 'int', TYPES.copy2D);
    synchronize = gpu.library.function('cudaStreamSynchronize', 'int', ['uintptr_t']);
  });
  afterEach(() => {
    gpu.heap.free(memory);
    gpu.remove();
    runtime.release();
  });

  test('copies rows when the stream is synchronized, not before', () => {
    const bytes = viewMemory(memory, 256);
    bytes.set([1, 2, 3, 4], 0);
    bytes.set([5, 6, 7, 8], 16);
    expect(copy2D(memory + 128, 4, memory, 16, 4, 2, 3, 0)).toBe(0);
    expect(bytes[128]).not.toBe(1);
    expect(synchronize(0)).toBe(0);
    expect([...bytes.subarray(128, 136)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test.each([
    ['a pitch below the width', [128, 3, 0, 16, 4, 2, 3, 0], 12],
    ['a source pitch below the width', [128, 4, 0, 3, 4, 2, 3, 0], 12],
    ['a pitch beyond what a GPU allows', [128, 2 ** 31, 0, 4, 4, 1, 3, 0], 12],
    ['another kind of copy', [128, 4, 0, 4, 4, 2, 2, 0], 21],
    ['an unknown stream', [128, 4, 0, 4, 4, 2, 3, 7], 400],
    ['a target that ends beyond the allocation', [250, 4, 0, 4, 4, 2, 3, 0], 1],
    ['a source that begins before the allocation', [128, 4, -8, 4, 4, 2, 3, 0], 1],
    ['rows that overlap', [2, 4, 0, 4, 4, 2, 3, 0], 1],
  ])('refuses %s', (_, [to, toPitch, from, ...rest], status) => {
    expect(copy2D(memory + to!, toPitch!, memory + from!, ...rest)).toBe(status);
    expect(gpu.library.pendingCopies).toBe(0);
  });

  test('refuses host memory in place of the device, and directions of a copy that are not', () => {
    const upload = gpu.library.function<[Pointer, Uint8Array, number, number], number>(
      'cudaMemcpy',
      'int',
      TYPES.upload,
    );
    const bytes = new Uint8Array(8);
    expect(upload(memory, bytes, 8, 1)).toBe(0);
    expect(upload(memory, bytes, 9, 1)).toBe(1);
    expect(upload(memory + 250, bytes, 8, 1)).toBe(1);
    expect(upload(memory, bytes, 8, 2)).toBe(1);
    expect(upload(memory, bytes, 8, 3)).toBe(21);
  });

  test('refuses functions that the header does not declare so', () => {
    expect(() => gpu.library.function('cudaMemcpy2D', 'int', [])).toThrow(/cudaMemcpy2D/);
    const swapped = [...TYPES.copy2D.slice(0, 6), 'uintptr_t', 'int'];
    expect(() => gpu.library.function('cudaMemcpy2DAsync', 'int', swapped)).toThrow(/header/);
  });
});
