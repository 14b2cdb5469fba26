import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CLI } from './fleet.js';

/** A role of shoal in its own process, started by its own command, as on another machine. */
export class JoinedProcess {
  /** The lines of its log. */
  readonly lines: string[] = [];
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  private readonly looking = new Set<() => void>();
  private readonly child: ChildProcess;

  constructor(args: readonly string[], env: Record<string, string>) {
    this.child = spawn(process.execPath, [CLI, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.lines.push(line);
      for (const look of [...this.looking]) look();
    });
    this.ended = once(this.child, 'close').then(() => this.child.exitCode ?? this.child.signalCode);
  }

  /** The first log line that contains this text. Rejects if the process ends without one. */
  logged(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const line = this.lines.find((known) => known.includes(text));
        if (line === undefined) return;
        this.looking.delete(look);
        resolve(line);
      };
      this.looking.add(look);
      look();
      void this.ended.then((code) => reject(new Error(`ended with ${code}:\n${this.lines.join('\n')}`)));
    });
  }

  /** Stops it gracefully. Returns its exit code, or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals | null> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}
