import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Unavailable } from '../src/errors.js';

export interface UpReady {
  readonly ready: true;
  readonly url: string;
  readonly nats: string;
  readonly pid: number;
  readonly workers: readonly { readonly id: string; readonly pid: number }[];
}

/** A fleet in processes of its own: `shoal up --json` as a user starts it, on a free port. */
export class RunningFleet {
  private constructor(
    private readonly child: ChildProcess,
    readonly ready: UpReady,
    private readonly lines: string[],
  ) {}

  /**
   * Starts it. `cli` is the path of the built command.
   * @throws Unavailable with what it printed, if it ends before it is ready
   */
  static async up(cli: string, args: readonly string[], env: Record<string, string> = {}): Promise<RunningFleet> {
    const child = spawn(process.execPath, [cli, 'up', '--json', '--port', '0', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
    const ready = await new Promise<UpReady>((resolve, reject) => {
      const failed = (what: string) => reject(new Unavailable(`shoal up ${what}:\n${lines.join('\n')}`));
      createInterface({ input: child.stdout }).once('line', (line) => {
        const said = readyOf(line);
        if (said) return resolve(said);
        child.kill();
        failed(`said ${line}`);
      });
      child.once('error', (error) => failed(`could not be started (${error.message})`));
      child.once('exit', (code) => failed(`exited with ${code}`));
    });
    return new RunningFleet(child, ready, lines);
  }

  get url(): string {
    return this.ready.url;
  }

  /** What the fleet has said on stderr so far. */
  get log(): string {
    return this.lines.join('\n');
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  /** As Ctrl-C does. Resolves with the exit code when all of it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }
}

function readyOf(line: string): UpReady | null {
  try {
    return JSON.parse(line) as UpReady;
  } catch {
    return null;
  }
}
