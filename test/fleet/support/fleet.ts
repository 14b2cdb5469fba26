import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

export interface Ready {
  readonly ready: true;
  readonly url: string;
  readonly nats: string;
  readonly pid: number;
  readonly workers: readonly { readonly id: string; readonly pid: number }[];
}

export interface WorkerRow {
  readonly id: string;
  readonly incarnation: string;
  readonly pid: number;
  readonly state: string;
  readonly blocks: number;
  readonly running: number;
  readonly waiting: number;
}

/** A real fleet: `shoal up --json` as a user starts it, on a free port. */
export class Fleet {
  private constructor(
    private readonly child: ChildProcess,
    readonly ready: Ready,
    private readonly errors: string[],
  ) {}

  /** Resolves when it is ready; rejects with what it printed if it is not. */
  static async up(args: readonly string[] = [], env: Record<string, string> = {}): Promise<Fleet> {
    const child = spawn(process.execPath, [CLI, 'up', '--json', '--port', '0', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const errors: string[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line));
    const ready = new Promise<Ready>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once('line', (line) => resolve(JSON.parse(line) as Ready));
      child.once('exit', (code) => reject(new Error(`shoal up exited with ${code}:\n${errors.join('\n')}`)));
    });
    return new Fleet(child, await ready, errors);
  }

  get url(): string {
    return this.ready.url;
  }

  /** What the fleet has said on stderr so far. */
  get log(): string {
    return this.errors.join('\n');
  }

  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  async complete(body: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Completion> {
    const response = await this.post('/v1/completions', { model: 'recall', temperature: 0, max_tokens: 32, ...body }, headers);
    const answer = (await response.json()) as Completion & { error?: { message: string } };
    if (response.status !== 200) throw new Error(`${response.status}: ${answer.error?.message}`);
    return answer;
  }

  async workers(): Promise<WorkerRow[]> {
    const response = await fetch(`${this.url}/v1/fleet`);
    return ((await response.json()) as { workers: WorkerRow[] }).workers;
  }

  /** Asks until the fleet is as wanted. The test's own time limit bounds it. */
  async until(what: (workers: WorkerRow[]) => boolean): Promise<WorkerRow[]> {
    for (;;) {
      const workers = await this.workers();
      if (what(workers)) return workers;
    }
  }

  /** As Ctrl-C does. Resolves with the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }
}

export interface Completion {
  readonly choices: readonly { readonly text: string; readonly finish_reason: string; readonly index: number }[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
  readonly shoal: {
    readonly worker: string;
    readonly cached: { readonly local: number; readonly remote: number; readonly computed: number };
    readonly ttft_ms: number;
    readonly queue_ms: number;
  };
}

/** Runs `jobs` with at most `concurrency` at a time; the results keep their order. */
export async function pooled<T>(concurrency: number, jobs: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = new Array(jobs.length);
  let next = 0;
  const lane = async () => {
    while (next < jobs.length) {
      const index = next++;
      results[index] = await jobs[index]!();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return results;
}
