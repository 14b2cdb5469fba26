import type { ObjectRef } from '../src/runtime/objects/object-ref.js';
import { collectGarbage } from './garbage.js';

/** The code that the node of the benchmarks `runtime` and `many` hosts. */

export class Echo {
  echo<T>(value: T): T {
    return value;
  }

  async *count(items: number): AsyncGenerator<number> {
    for (let i = 0; i < items; i++) yield i;
  }

  /** Milliseconds to read an object of another process. */
  async readMs({ ref }: { readonly ref: ObjectRef<Uint8Array> }): Promise<number> {
    const startMs = performance.now();
    await ref.get();
    return performance.now() - startMs;
  }
}

/** An actor without a state of its own. */
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
