import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** onnxruntime-genai for comparison with shoal: the same model in a separate process that runs `bench/genai.py`. */

const PROGRAM = fileURLToPath(new URL('../../bench/genai.py', import.meta.url));

/** The contender in a benchmark: the process, or the reason why there is none. */
export type GenaiOrWhyNot = Genai | string;

/** A process of onnxruntime-genai with the model loaded, on the CPU. It answers one question at a time. */
export class Genai {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly version: string,
  ) {}

  /** Starts it with the `python3` on PATH. Resolves with the reason, for a report, if that has no onnxruntime-genai or there is none. */
  static async start(model: string, threads: number): Promise<GenaiOrWhyNot> {
    const child = spawn('python3', [PROGRAM, model, 'serve', String(threads)], { stdio: ['pipe', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (bytes: Buffer) => {
      errors = (errors + bytes).slice(-2_000);
    });
    const failed = once(child, 'error').then(([error]) => String(error));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await Promise.race([lines.next(), failed]);
    if (typeof first === 'string') return `onnxruntime-genai: skipped, because python3 cannot be started: ${first}`;
    if (first.done) return `onnxruntime-genai: skipped, because python3 says: ${errors.trim().split('\n').at(-1)}`;
    return new Genai(child, lines, JSON.parse(first.value) as string);
  }

  /** Tokens per second of so many rows together, after their prompts. */
  decode(promptTokens: number, steps: number, rows: number): Promise<number> {
    return this.ask('decode', [promptTokens, steps, rows]);
  }

  /** Milliseconds to the first token of an uncached prompt. */
  cold(tokens: number): Promise<number> {
    return this.ask('cold', [tokens]);
  }

  /** Milliseconds to the first token of a prompt whose first tokens are in its buffer. All calls of a process must name the same lengths. */
  hit(sharedTokens: number, ownTokens: number): Promise<number> {
    return this.ask('hit', [sharedTokens, ownTokens]);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill();
    await exited;
  }

  private async ask(name: string, values: readonly number[]): Promise<number> {
    this.child.stdin!.write(`${JSON.stringify([name, values])}\n`);
    const answer = await this.lines.next();
    if (answer.done) throw new Error('the process of onnxruntime-genai ended before it answered');
    return JSON.parse(answer.value) as number;
  }
}
