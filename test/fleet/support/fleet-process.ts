import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A member of a fleet in its own process, with its log. */
export class FleetProcess {
  /** The lines of its log. */
  readonly lines: string[] = [];
  private readonly looking = new Set<() => void>();
  private readonly child: ChildProcess;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;

  constructor(command: readonly string[], env: Record<string, string>) {
    const [program, ...args] = command;
    this.child = spawn(program!, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.lines.push(line);
      for (const look of [...this.looking]) look();
    });
    this.ended = once(this.child, 'close').then(() => this.child.exitCode ?? this.child.signalCode);
  }

  /** Whether the process has not ended. */
  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
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
