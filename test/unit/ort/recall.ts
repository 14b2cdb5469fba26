import { fileURLToPath } from 'node:url';
import { NativeMemory } from '../../../src/ort/memory.js';
import type { OrtRuntime } from '../../../src/ort/runtime.js';
import type { Session } from '../../../src/ort/session.js';
import { Value } from '../../../src/ort/value.js';

/** A decoder loop over `models/recall`, which appends K/V in place. */

export const RECALL = fileURLToPath(new URL('../../../models/recall/onnx/model.onnx', import.meta.url));
const [LAYERS, KV_HEADS, HEAD_DIM] = [4, 2, 64];

/** K/V buffers `[rows, kvHeads, capacity, headDim]`, one for each K and V, and tensors over some of their rows. */
export class Rows {
  private readonly buffers: NativeMemory[];

  constructor(
    private readonly runtime: OrtRuntime,
    rows: number,
    private readonly capacityTokens: number,
  ) {
    const byteLength = rows * KV_HEADS * capacityTokens * HEAD_DIM * 4;
    this.buffers = Array.from({ length: 2 * LAYERS }, () => NativeMemory.allocate(runtime, byteLength));
  }

  /**
   * Runs the tokens of rows `[first, first + tokens.length)`, of which each has `past` tokens already. All rows take as many
   * tokens. Gives the logits of each row's last position.
   */
  async run(session: Session, first: number, tokens: number[][], past: number[]): Promise<Float32Array[]> {
    const binding = session.createBinding();
    const count = tokens.length;
    const length = tokens[0]!.length;
    const longest = Math.max(...past) + length;
    const owned = [
      this.ids(tokens.flat(), [count, length]),
      this.ids(
        past.flatMap((own) => Array.from({ length: longest }, (_, at) => (at < own + length ? 1 : 0))),
        [count, longest],
      ),
    ];
    binding.bindInput('input_ids', owned[0]!);
    binding.bindInput('attention_mask', owned[1]!);
    for (const [index, buffer] of this.buffers.entries()) {
      const name = `${Math.floor(index / 2)}.${index % 2 === 0 ? 'key' : 'value'}`;
      const offset = first * KV_HEADS * this.capacityTokens * HEAD_DIM * 4;
      const value = Value.view(buffer, offset, 'float32', [count, KV_HEADS, this.capacityTokens, HEAD_DIM]);
      binding.bindInput(`past_key_values.${name}`, value);
      binding.bindOutput(`present.${name}`, value);
      owned.push(value);
    }
    binding.bindOutputToDevice('logits', 'cpu');
    await session.run(binding);
    const logits = binding.outputs().get('logits')!;
    const vocabulary = logits.shape[2]!;
    const bytes = logits.bytes();
    const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const last = tokens.map((_, row) => all.slice((row + 1) * length * vocabulary - vocabulary).slice(0, vocabulary));
    for (const value of [...owned, logits]) value.release();
    binding.release();
    return last;
  }

  private ids(ids: number[], shape: number[]): Value {
    const value = Value.allocate(this.runtime, 'int64', shape);
    value.bytes().set(new Uint8Array(BigInt64Array.from(ids, BigInt).buffer));
    return value;
  }

  release(): void {
    for (const buffer of this.buffers) buffer.release();
  }
}

/** Random token ids, reproducible by seed. */
export function someTokens(length: number, seed: number): number[] {
  return Array.from({ length }, (_, at) => (Math.imul(at + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)) >>> 24);
}

export function argmax(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}
