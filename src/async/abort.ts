import { setMaxListeners } from 'node:events';
import { Cancelled, ShoalError } from '../errors.js';

/** Turns an aborted `AbortSignal` into an error: its reason if that is a `ShoalError`, else `Cancelled`. */
export function abortReason(signal: AbortSignal): ShoalError {
  return signal.reason instanceof ShoalError ? signal.reason : new Cancelled('the caller cancelled the call');
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as the signal aborts. */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortReason(signal));
    if (signal.aborted) onAbort();
    // Many waits may share a signal, and Node warns of a leak above ten listeners.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
