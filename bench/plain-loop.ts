import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { NO_TELEMETRY } from '../src/ort/telemetry.js';

/** The alternative to shoal: a decode loop over `session.run` of onnxruntime-node, in a child process. */

/** The model and the prompt of a plain loop. */
export interface PlainLoopOptions {
  readonly modelPath: string;
  readonly threads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The names of the graph's K/V inputs and, in the same order, outputs. */
  readonly past: readonly string[];
  readonly present: readonly string[];
  /** The prompt, which is computed once at the start. */
  readonly prompt: readonly number[];
}

export interface PlainSteps {
  /** The time of each step, including the choice of the next token. */
  readonly ms: readonly number[];
  /** The token that each step chose. */
  readonly tokens: readonly number[];
}

/** A handle of the child process, which has its own copy of ONNX Runtime's library. K/V outputs of a run are inputs of the next. */
export class PlainLoop {
  private constructor(private readonly child: ChildProcess) {}

  /** Starts the process. Resolves when the prompt is computed. */
  static async start(options: PlainLoopOptions): Promise<PlainLoop> {
    const file = fileURLToPath(new URL('./plain-loop-child.js', import.meta.url));
    const env = { ...process.env, ...NO_TELEMETRY };
    const loop = new PlainLoop(fork(file, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    try {
      await loop.ask(options);
    } catch (error) {
      await loop.stop();
      throw error;
    }
    return loop;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Decodes greedily from the end of the prompt on. `first` is the first token to run. */
  async steps(first: number, count: number): Promise<PlainSteps> {
    return (await this.ask({ first, count })) as PlainSteps;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill();
    await exited;
  }

  private ask(message: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null) => reject(new Error(`the process of the plain loop exited with ${code}`));
      this.child.once('exit', onExit);
      this.child.once('message', (answer) => {
        this.child.off('exit', onExit);
        resolve(answer);
      });
      this.child.send(message);
    });
  }
}
