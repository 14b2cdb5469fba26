import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { callHttp } from '../cli/call-http.js';
import { Unavailable } from '../src/errors.js';

/** A fleet in separate processes, started by `shoal up --json`. */

export interface UpReady {
  readonly ready: true;
  readonly url: string;
  readonly nats: string;
  readonly pid: number;
  readonly coordinators: readonly (ReadyMember & { readonly url: string })[];
  readonly workers: readonly ReadyMember[];
}

interface ReadyMember {
  readonly id: string;
  readonly pid: number;
  /** Where clients of the Redis protocol connect; null without `--redis-port`. */
  readonly redis: string | null;
}

/** Runs `shoal up` as a user does, on a free port. */
export class RunningFleet {
  private constructor(
    private readonly child: ChildProcess,
    readonly ready: UpReady,
    private readonly lines: string[],
  ) {}

  /**
   * Starts the fleet.
   * @param cli the path of the built command
   * @throws Unavailable with the command's output, if it exits before the fleet is ready
   */
  static async up(cli: string, args: readonly string[], env: Record<string, string> = {}): Promise<RunningFleet> {
    const child = spawn(process.execPath, [cli, 'up', '--json', '--port', '0', ...args], {
      // By the channel it notices the end of this process, and ends too.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    const lines: string[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => lines.push(line));
    const ready = await new Promise<UpReady>((resolve, reject) => {
      const fail = (cause: string) =>
        reject(new Unavailable(`cannot start a fleet: shoal up ${cause}:\n${lines.join('\n')}`));
      createInterface({ input: child.stdout! }).once('line', (line) => {
        const ready = readyOf(line);
        if (ready) return resolve(ready);
        child.kill();
        fail(`printed ${line}`);
      });
      child.once('error', (error) => fail(`could not be started (${error.message})`));
      child.once('exit', (code) => fail(`exited with ${code}`));
    });
    return new RunningFleet(child, ready, lines);
  }

  get url(): string {
    return this.ready.url;
  }

  /** The fleet's stderr so far. */
  get log(): string {
    return this.lines.join('\n');
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return callHttp(new URL(path, this.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  /** Stops the fleet, by default as Ctrl-C does. Resolves with the exit code once the process has exited. */
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
