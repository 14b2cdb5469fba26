import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A member of a fleet in its own process, with its log. */
export class FleetProcess {
  /** The lines of its log. */
  readonly lines: string[] = [];
  private readonly looking = new Set<() => void>();
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;

  constructor(command: readonly string[], env: Record<string, string>) {
    const [program, ...args] = command;
    this.child = spawn(program!, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.lines.push(line);
      for (const look of [...this.looking]) look();
    });
    this.closed = once(this.child, 'close');
  }

  /** Whether the process has not ended. */
  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
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
