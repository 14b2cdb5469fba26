import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Clock } from '../../src/clock.js';
import * as limits from '../../src/limits.js';
import { type ParentMessage, readChildMessage } from './link-messages.js';
import { OutputTail } from './output-tail.js';

/** A child process that this process started and is responsible for. */

/** Last output of a child that is kept, to be shown if it fails. */
const CHILD_OUTPUT_TAIL_BYTES = 16 * 1024;

export interface ChildSpec {
  /** Name of the child in messages. */
  readonly name: string;
  /** A script, run by the same Node as this process, and its arguments. */
  readonly script: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Called with each line that the child writes to stderr or stdout. */
  readonly onLine: (line: string) => void;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** For people: the reason that the child reported, else its last output, else its exit code or signal. */
  readonly reason: string;
}

/** A child ended before it was ready. @internal exported for tests. */
export class ChildFailed extends Error {
  override get name(): string {
    return 'ChildFailed';
  }
  constructor(
    readonly child: string,
    readonly exit: ChildExit,
  ) {
    super(`cannot start ${child}: ${exit.reason}`);
  }
}

/**
 * A process that this one started and is responsible for. The child has its own session, so that Ctrl-C in the terminal reaches only
 * the parent, which then stops its children in order. It also has a channel, which closes when the parent is gone (`parent-link.ts`).
 */
export class Child {
  /** Resolves with the `info` of the child's ready message. Rejects with `ChildFailed` if the child ends first. */
  readonly ready: Promise<unknown>;
  /** Never rejects. */
  readonly exited: Promise<ChildExit>;
  private readonly process: ChildProcess;
  private over = false;

  constructor(spec: ChildSpec) {
    this.process = spawn(process.execPath, [spec.script, ...spec.args], {
      env: { ...spec.environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    const tail = new OutputTail(CHILD_OUTPUT_TAIL_BYTES);
    for (const stream of [this.process.stdout, this.process.stderr]) {
      // Node makes no streams for a process that it could not spawn for lack of file descriptors.
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        tail.add(line);
        spec.onLine(line);
      });
    }
    let said: string | null = null;
    this.exited = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null, reason: string) => {
        this.over = true;
        resolve({ code, signal, reason });
      };
      this.process.once('error', (error) => end(null, null, `cannot spawn the process: ${error.message}`));
      // `exit` is too early: the child's last output may still be in the pipe.
      this.process.once('close', (code, signal) => end(code, signal, said ?? describeExit(code, signal, tail)));
    });
    this.ready = new Promise((resolve, reject) => {
      this.process.on('message', (value) => {
        const message = readChildMessage(value);
        if (message?.type === 'ready') resolve(message.info);
        if (message?.type === 'failed') said = message.reason;
      });
      this.exited.then((exit) => reject(new ChildFailed(spec.name, exit)));
    });
    // A caller that needs `ready` awaits it. For the others, a child that ends early must not crash the parent.
    this.ready.catch(() => {});
  }

  /** 0 if the child could not be spawned. */
  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Sends the child a message, unless its channel is closed. */
  tell(message: ParentMessage): void {
    if (this.process.connected) this.process.send(message, () => undefined);
  }

  /** Asks the child to end, and kills it after `graceMs`. */
  async stop(clock: Clock, graceMs: number = limits.PROCESS_STOP_MS): Promise<ChildExit> {
    if (!this.over) this.process.kill('SIGTERM');
    const timer = clock.after(graceMs, () => this.kill());
    const exit = await this.exited;
    timer.cancel();
    return exit;
  }

  /** Kills the child and all processes in its group at once. */
  kill(): void {
    if (this.over || this.process.pid === undefined) return;
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      // The group has ended already.
    }
  }
}

function describeExit(code: number | null, signal: NodeJS.Signals | null, tail: OutputTail): string {
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const cause = tail.likelyCause();
  return cause === null ? how : `${how}: ${cause}`;
}
