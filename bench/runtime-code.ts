import type { ObjectRef } from '../src/runtime/objects/object-ref.js';
import { collectGarbage } from './garbage.js';

/** The code that the node of the benchmarks `runtime` and `many` hosts. */

const PAGE_BYTES = 4_096;

export class Echo {
  echo<T>(value: T): T {
    return value;
  }

  async *count(items: number): AsyncGenerator<number> {
    for (let i = 0; i < items; i++) yield i;
  }

  /** Milliseconds to get an object of another process, and to read a byte of each of its pages. */
  async readMs({ ref }: { readonly ref: ObjectRef<Uint8Array> }): Promise<number> {
    const startMs = performance.now();
    const bytes = await ref.get();
    let sum = 0;
    for (let at = 0; at < bytes.byteLength; at += PAGE_BYTES) sum += bytes[at]!;
    const tookMs = performance.now() - startMs;
    if (sum !== Math.ceil(bytes.byteLength / PAGE_BYTES))
      throw new Error('the object has other bytes than were stored');
    return tookMs;
  }
}

/** An actor without state. */
export class Idle {
  call(): number {
    return 1;
  }
}

export function same(value: number): number {
  return value;
}

/** Bytes of the heap and of buffers that this process uses, after garbage was collected. */
export async function usedBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    // Finalizers run between turns.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
