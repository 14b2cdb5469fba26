import { InternalError } from '../errors.js';
import { callAsync, NULL } from '../native/ffi.js';
import type { Value } from './value.js';

/**
 * Copies a tensor to another of the same size, between the host and a device, on a thread of the pool. Resolves when the bytes are there. On a
 * device that takes turns, in one.
 */
export async function copyTensor(from: Value, to: Value): Promise<void> {
  if (from.byteLength !== to.byteLength) {
    throw new InternalError(`${from.byteLength} bytes were to be copied into a tensor of ${to.byteLength}`);
  }
  const { environment } = from;
  const { calls } = environment;
  const pair = [BigUint64Array.of(BigInt(from.pointer)), BigUint64Array.of(BigInt(to.pointer))] as const;
  from.hold();
  to.hold();
  try {
    const status = await callAsync(calls.api.copyTensors, environment.pointer, ...pair, NULL, 1);
    calls.check(status, `copying ${from.byteLength} bytes from or to a device`);
  } finally {
    from.drop();
    to.drop();
  }
}
