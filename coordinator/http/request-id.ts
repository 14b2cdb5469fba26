import { randomUUID } from 'node:crypto';

/** The client's `x-request-id`, if it is safe to repeat in headers and logs; else null. */
export function sentRequestId(given: string | string[] | undefined | null): string | null {
  return typeof given === 'string' && /^[\w-]{1,128}$/.test(given) ? given : null;
}

/** The client's `x-request-id` if it is safe to repeat in headers and logs, else a random id. */
export function requestIdOf(given: string | string[] | undefined): string {
  return sentRequestId(given) ?? randomUUID();
}
