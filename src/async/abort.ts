import { Cancelled, ShoalError } from '../errors.js';

/** Why a signal was raised, as an error of ours: what it was raised with, or Cancelled. */
export function abortReason(signal: AbortSignal): ShoalError {
  return signal.reason instanceof ShoalError
    ? signal.reason
    : new Cancelled('the caller gave up a transfer between peers');
}

/** The promise's result, or a rejection with the signal's reason as soon as that is raised. */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = () => reject(abortReason(signal));
    if (signal.aborted) give();
    signal.addEventListener('abort', give, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', give));
  });
}
