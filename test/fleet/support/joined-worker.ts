import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CLI } from './fleet.js';

/** A worker in its own process that joins a fleet, as from another machine. */
export class JoinedWorker {
  /** The lines of its log. */
  readonly lines: string[] = [];
  private readonly looking = new Set<() => void>();
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;

  constructor(
    readonly id: string,
    args: readonly string[],
    env: Record<string, string>,
  ) {
    this.child = spawn(process.execPath, [CLI, 'worker', '--worker-id', id, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.lines.push(line);
      for (const look of [...this.looking]) look();
    });
    this.closed = once(this.child, 'close');
  }

  /** The first log line that contains this text. */
  logged(text: string): Promise<string> {
    return new Promise((resolve) => {
      const look = () => {
        const line = this.lines.find((known) => known.includes(text));
        if (line === undefined) return;
        this.looking.delete(look);
        resolve(line);
      };
      this.looking.add(look);
      look();
    });
  }

  /** Stops it gracefully. Returns its exit code, or the signal that ended it. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    this.child.kill('SIGTERM');
    await this.closed;
    return this.child.exitCode ?? this.child.signalCode;
  }
}
