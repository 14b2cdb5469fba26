import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a plain loop is made for. */
export interface PlainLoopOrder {
  readonly modelPath: string;
  readonly threads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Names of the graph's K/V, inputs and outputs in the same order. */
  readonly past: readonly string[];
  readonly present: readonly string[];
  /** Computed once, when it starts. */
  readonly prompt: readonly number[];
}

export interface PlainSteps {
  /** Milliseconds of each step, its choice of the next token included. */
  readonly ms: readonly number[];
  /** The token that each step chose. */
  readonly tokens: readonly number[];
}

/**
 * What one gets without this project: `session.run` of onnxruntime-node, K/V handed on from run to run as tensors. In a process of its own, so that
 * it has a runtime library to itself.
 */
export class PlainLoop {
  private constructor(private readonly child: ChildProcess) {}

  /** Resolves when its prompt is computed. */
  static async start(order: PlainLoopOrder): Promise<PlainLoop> {
    const file = fileURLToPath(new URL('./plain-loop-child.js', import.meta.url));
    const loop = new PlainLoop(fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    try {
      await loop.ask(order);
    } catch (error) {
      await loop.stop();
      throw error;
    }
    return loop;
  }

  /** Decodes greedily after the prompt, each time anew: `first` is the first token that is run. */
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
      const onExit = (code: number | null) => reject(new Error(`the plain loop's process ended with ${code}`));
      this.child.once('exit', onExit);
      this.child.once('message', (answer) => {
        this.child.off('exit', onExit);
        resolve(answer);
      });
      this.child.send(message);
    });
  }
}
