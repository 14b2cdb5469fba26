import { constants } from 'node:os';
import { exitAtOnce } from '../src/native/libc.js';

/** Ends a process of shoal. */

/** The exit code of a command that a signal ended, as shells have it: 130 for SIGINT. */
export function signalCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** Ends this process, even if a file operation on a disk that does not answer still occupies a thread. */
export function exit(code: number): never {
  // Such as `FSReqPromise`: its result is no longer needed.
  if (process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))) exitAtOnce(code);
  process.exit(code);
}
