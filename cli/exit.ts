import { exitAtOnce } from '../src/native/libc.js';

/** Ends a process of shoal. */

/** Ends this process, even if a file operation on a disk that does not answer still occupies a thread. */
export function exit(code: number): never {
  // Such as `FSReqPromise`: its result is no longer needed.
  if (process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))) exitAtOnce(code);
  process.exit(code);
}
