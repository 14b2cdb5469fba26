import type { FloatType } from '../../src/core/kv-layout.js';
import { widenFloat16 } from '../../src/core/sampling/half.js';
import { argmax } from '../../src/core/sampling/selection.js';
import type { ElementType } from '../../src/ort/element-type.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';
import type { Session } from '../../src/ort/session.js';
import { Value } from '../../src/ort/value.js';
import { choiceOf, type TokenChoice } from './near-tie.js';

/** A token of an answer compared with the one that ONNX Runtime finds most likely. */
export interface Compared {
  readonly best: number;
  readonly got: number;
  readonly choice: TokenChoice;
}

/**
 * Runs one sequence by ONNX Runtime, on the graph as its file has it: the outputs of a run are the past of the next. Nothing of shoal's engine,
 * cache or edits of graphs takes part.
 */
export class PlainDecoder {
  static async open(runtime: OrtRuntime, graphPath: string): Promise<PlainDecoder> {
    const options = { provider: { name: 'cpu' }, intraOpThreads: 1, allowSpinning: false } as const;
    return new PlainDecoder(runtime, await runtime.openSession(graphPath, options));
  }

  private constructor(
    private readonly runtime: OrtRuntime,
    private readonly session: Session,
  ) {}

  /**
   * Compares each token of an answer with the most likely one after the prompt and the answer's tokens before it, up to the first that is apart.
   * @param runTokens the number of prompt tokens in one run
   */
  async compare(prompt: readonly number[], answer: readonly number[], runTokens: number): Promise<Compared[]> {
    let past: ReadonlyMap<string, Value> = this.empty();
    const compared: Compared[] = [];
    let tokens = 0;
    try {
      while (compared.length < answer.length) {
        const ids = tokens < prompt.length ? prompt.slice(tokens, tokens + runTokens) : [answer[compared.length - 1]!];
        const { logits, type, present } = await this.run(ids, tokens, past);
        for (const value of past.values()) value.release();
        past = present;
        tokens += ids.length;
        if (tokens < prompt.length) continue;
        const [best, got] = [argmax(logits), answer[compared.length]!];
        const choice = choiceOf(logits, type, best, got);
        compared.push({ best, got, choice });
        if (choice === 'apart') break;
      }
      return compared;
    } finally {
      for (const value of past.values()) value.release();
    }
  }

  release(): void {
    this.session.release();
  }

  /** K/V without tokens, and states before the first token. */
  private empty(): Map<string, Value> {
    const pasts = this.session.inputs.filter(({ name }) => name.startsWith('past'));
    return new Map(
      pasts.map(({ name, elementType, dims: [, ...dims] }) => {
        // Of K/V the number of tokens is the one dimension that is not known.
        const value = Value.allocate(this.runtime, elementType, [
          1,
          ...dims.map((dim) => (typeof dim === 'number' ? dim : 0)),
        ]);
        value.bytes().fill(0);
        return [name, value];
      }),
    );
  }

  private async run(
    ids: readonly number[],
    tokens: number,
    past: ReadonlyMap<string, Value>,
  ): Promise<{ logits: Float32Array; type: FloatType; present: Map<string, Value> }> {
    const total = tokens + ids.length;
    const feeds: Record<string, readonly number[]> = {
      input_ids: ids,
      attention_mask: new Array<number>(total).fill(1),
      position_ids: ids.map((_, i) => tokens + i),
    };
    const binding = this.session.createBinding();
    try {
      for (const { name } of this.session.inputs) {
        const value = past.get(name) ?? this.integers(feeds[name]!);
        binding.bindInput(name, value);
        if (!past.has(name)) value.release();
      }
      for (const { name } of this.session.outputs) binding.bindOutputToDevice(name, 'cpu');
      await this.session.exclusive(() => this.session.run(binding));
      const made = binding.outputs();
      const logits = made.get('logits')!;
      const type = logits.elementType as FloatType;
      const last = lastOf(logits);
      logits.release();
      const present = [...made].filter(([name]) => name !== 'logits');
      return {
        ...{ logits: last, type },
        present: new Map(present.map(([name, value]) => [this.pastOf(name), value])),
      };
    } finally {
      binding.release();
    }
  }

  /** The input that takes an output in the next run. */
  private pastOf(output: string): string {
    const past = output.replace(/^present/, 'past');
    const isInput = this.session.inputs.some(({ name }) => name === past);
    return isInput ? past : past.replace(/^past/, 'past_key_values');
  }

  private integers(numbers: readonly number[]): Value {
    const value = Value.allocate(this.runtime, 'int64', [1, numbers.length]);
    value.bytes().set(new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer));
    return value;
  }
}

/** The last position's logits of `[1, tokens, vocab]`. */
function lastOf(logits: Value): Float32Array {
  const vocab = logits.shape[2]!;
  const elementType: ElementType = logits.elementType;
  const bytes = logits.bytes().slice(-vocab * (elementType === 'float32' ? 4 : 2));
  if (elementType === 'float32') return new Float32Array(bytes.buffer);
  const widened = new Float32Array(vocab);
  widenFloat16(new Uint16Array(bytes.buffer), widened);
  return widened;
}
