import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Clock } from '../../src/clock.js';
import * as limits from '../../src/limits.js';
import { readChildMessage } from './link-messages.js';
import { OutputTail } from './output-tail.js';

/** Last output of a child that is kept, to be shown if it fails. */
const CHILD_OUTPUT_TAIL_BYTES = 16 * 1024;

export interface ChildSpec {
  /** For messages. */
  readonly name: string;
  /** A script for this same Node, and its arguments. */
  readonly script: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Called with each line that it writes to stderr or stdout. */
  readonly onLine: (line: string) => void;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** In words for people: what the child said of it, else its last output, else code or signal. */
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
    super(`${child} failed: ${exit.reason}`);
  }
}

/**
 * A process that this one started and answers for. It has a session of its own, so that Ctrl-C in the terminal reaches the parent
 * alone, which then stops its children in order; and a channel, which tells it when the parent is gone (`parent-link.ts`).
 */
export class Child {
  /** Resolves with what the child says of itself. Rejects with `ChildFailed` if it ends before. */
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
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
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
      this.process.once('error', (error) => end(null, null, `it could not be started: ${error.message}`));
      // Not `exit`: its last words may still be in the pipe.
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
    // Whoever cares awaits it; a child that ends early must not end its parent.
    this.ready.catch(() => {});
  }

  /** 0 if it could not be started. */
  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Asks it to end, and kills it if it has not after `graceMs`. */
  async stop(clock: Clock, graceMs: number = limits.PROCESS_STOP_MS): Promise<ChildExit> {
    if (!this.over) this.process.kill('SIGTERM');
    const timer = clock.after(graceMs, () => this.kill());
    const exit = await this.exited;
    timer.cancel();
    return exit;
  }

  /** Ends it, and whatever it has started, at once. */
  kill(): void {
    if (this.over || this.process.pid === undefined) return;
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
}

function describeExit(code: number | null, signal: NodeJS.Signals | null, tail: OutputTail): string {
  const how = signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`;
  const words = tail.lastWords();
  return words === null ? how : `${how}: ${words}`;
}
