import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { readChildMessage } from '../../cli/process/link-messages.js';

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
    // By the channel the member notices the end of this process, and ends too.
    this.child = spawn(program!, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    createInterface({ input: this.child.stderr! }).on('line', (line) => this.add(line));
    this.child.on('message', (value) => {
      const message = readChildMessage(value);
      if (message?.type === 'failed') this.add(message.reason);
    });
    this.ended = once(this.child, 'close').then(() => this.child.exitCode ?? this.child.signalCode);
  }

  get pid(): number {
    return this.child.pid ?? 0;
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

  /** Stops it, gracefully by default. Returns its exit code, or the signal that ended it. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    this.child.kill(signal);
    return this.ended;
  }

  private add(line: string): void {
    this.lines.push(line);
    for (const look of [...this.looking]) look();
  }
}
