import { isatty } from 'node:tty';
import { Cancelled } from '../../src/errors.js';
import * as limits from '../../src/limits.js';
import type { RunningRole } from '../../src/running-role.js';
import { SAME_INTERRUPT_MS } from '../interrupts.js';
import { openParentLink, type ParentLink } from './parent-link.js';

/** Runs a role in this process, from start to exit. */

/** How long an orphaned process may take to end in good order before it is killed. */
const ORPHAN_STOP_MS = 3_000;

export interface RoleOptions {
  /** Starts the role. When `leaving` is aborted, a role that is still starting rejects with Cancelled. */
  readonly start: (leaving: AbortSignal) => Promise<RunningRole>;
  /** Called with an error while starting or stopping, unless the parent gets the error. */
  readonly onError: (error: unknown) => void;
  /** Called when the role has given up its start because it was to end, for example while it waited for NATS. */
  readonly onGivenUp: () => void;
  /** Called at each SIGHUP while the role runs. Without it, and where the process has a terminal that may be gone, SIGHUP ends the role. */
  readonly onHangup?: (role: RunningRole) => Promise<void>;
  /** The text of an error for the parent to show. */
  readonly describe: (error: unknown) => string;
}

type Ending = 'signal' | 'parent-gone';

function nextSignal(hangup: () => boolean): Promise<Ending> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      // With `once`, a second signal would end the process in the middle of its stop.
      process.on(signal, () => {
        if (signal !== 'SIGHUP' || !hangup()) resolve('signal');
      });
    }
  });
}

/** Resolves at a Ctrl-C that comes after the present signal, and is not the same one, which npm hands on once more. */
function nextInterrupt(): Promise<never> {
  const sinceMs = performance.now();
  return new Promise((_, reject) => {
    process.on('SIGINT', () => {
      if (performance.now() - sinceMs >= SAME_INTERRUPT_MS) reject(new Cancelled('stopped at once by a second Ctrl-C'));
    });
  });
}

/** Gives a role to `onHangup`, one call after another. */
class Hangups {
  role: RunningRole | null = null;
  private last: Promise<void> = Promise.resolve();
  private readonly hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));

  constructor(private readonly onHangup: RoleOptions['onHangup']) {}

  /** False if the signal is to end the process. */
  take(): boolean {
    const { role, onHangup } = this;
    if (role === null || onHangup === undefined || this.hasTerminal) return false;
    this.last = this.last.then(() => onHangup(role));
    return true;
  }
}

function within<T>(timeMs: number, promise: Promise<T>, task: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`cannot ${task} within ${timeMs} ms`)), timeMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Runs a role until a signal comes or its parent is gone, then stops it within a limit, or until a second Ctrl-C. Resolves with the exit code; the
 * caller exits the process with it.
 */
export async function runRole(options: RoleOptions, link: ParentLink | null = openParentLink()): Promise<0 | 1> {
  const never = new Promise<Ending>(() => {});
  const hangups = new Hangups(options.onHangup);
  const ending = Promise.race([
    nextSignal(() => hangups.take()),
    link?.gone.then((): Ending => 'parent-gone') ?? never,
  ]);
  // Without a parent the output pipes are closed. The write error must not end the process before its role has stopped.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const leaving = new AbortController();
  const starting = options.start(leaving.signal);
  try {
    const first = await Promise.race([starting, ending]);
    if (typeof first === 'object') hangups.role = first;
    if (typeof first === 'object') await link?.send({ type: 'ready', info: first.ready });
  } catch (error) {
    if (link === null) options.onError(error);
    else await link.send({ type: 'failed', reason: options.describe(error) });
    return 1;
  }
  const isOrphan = (await ending) === 'parent-gone';
  leaving.abort();
  try {
    const interrupted = nextInterrupt();
    const startMs = isOrphan ? ORPHAN_STOP_MS : limits.PROCESS_STOP_MS;
    const role = await Promise.race([within(startMs, started(starting), 'stop'), interrupted]);
    const stopMs = isOrphan ? ORPHAN_STOP_MS : (role?.stopMs ?? limits.PROCESS_STOP_MS);
    if (role === null) options.onGivenUp();
    else await Promise.race([within(stopMs, role.stop(), 'stop'), interrupted]);
    return 0;
  } catch (error) {
    options.onError(error);
    return 1;
  }
}

/** Null if the start was cancelled. */
function started(starting: Promise<RunningRole>): Promise<RunningRole | null> {
  return starting.catch((error: unknown) => {
    if (error instanceof Cancelled) return null;
    throw error;
  });
}
