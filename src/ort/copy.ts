import { InternalError } from '../errors.js';
import { callAsync, NULL } from '../native/ffi.js';
import type { Value } from './value.js';

/**
 * Copies a tensor to another of the same size, between host and device, on a thread of the pool. Resolves when the copy is complete. The
 * caller must hold the lock of the device if it has one.
 */
export async function copyTensor(from: Value, to: Value): Promise<void> {
  if (from.byteLength !== to.byteLength) {
    throw new InternalError(`cannot copy a tensor of ${from.byteLength} bytes into one of ${to.byteLength} bytes`);
  }
  const { environment } = from;
  const { calls } = environment;
  const pair = [BigUint64Array.of(BigInt(from.pointer)), BigUint64Array.of(BigInt(to.pointer))] as const;
  from.addReference();
  to.addReference();
  try {
    const status = await callAsync(calls.api.copyTensors, environment.pointer, ...pair, NULL, 1);
    calls.check(status, `copy ${from.byteLength} bytes from or to a device`);
  } finally {
    from.dropReference();
    to.dropReference();
  }
}
