import { randomUUID } from 'node:crypto';

/** The client's own id if it is one that may stand in a header and in a log, else a fresh one. */
export function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[\w-]{1,128}$/.test(given) ? given : randomUUID();
}
