import { argmax } from '../src/core/sampling/selection.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { InvalidRequest } from '../src/errors.js';
import type { Binding } from '../src/ort/binding.js';
import { tensorBytes } from '../src/ort/element-type.js';
import { NativeMemory } from '../src/ort/memory.js';
import { Value } from '../src/ort/value.js';

const WARM_UP_STEPS = 4;

/**
 * The floor under the engine: the same graph, with the same session, threads and kind of run, over K/V bound once; nothing is scheduled, cached,
 * sampled or sent. Logits of the last position only, as the engine asks for them. All its rows have the same length.
 */
export class BareLoop {
  private readonly graph: ModelGraph;
  private readonly binding: Binding;
  private readonly memories: NativeMemory[] = [];
  private readonly ids: BigInt64Array;
  private readonly positions: BigInt64Array;
  private readonly idsMemory: NativeMemory;
  private readonly positionsMemory: NativeMemory;
  private readonly maskMemory: NativeMemory;
  /** One `[vocab]` a row. */
  private readonly logits: Float32Array[];
  private readonly rows: number;

  constructor(graph: ModelGraph, capacityTokens: number, rows = 1) {
    if (graph.kind !== 'in-place' || graph.names.logitsToKeep === null || graph.logitsType !== 'float32') {
      throw new InvalidRequest(
        'the bare loop runs graphs that append K/V in place and make float32 logits of the last position',
      );
    }
    const { layout, names, vocab } = graph;
    this.graph = graph;
    this.binding = graph.session.createBinding();
    this.rows = rows;
    const shape = [rows, layout.kvHeads, capacityTokens, layout.headDim];
    names.past.forEach((past, i) => {
      const kv = Value.over(this.allocate(tensorBytes(layout.elementType, shape)), 0, layout.elementType, shape);
      this.binding.bindInput(past, kv);
      this.binding.bindOutput(names.present[i]!, kv);
      kv.release();
    });
    this.idsMemory = this.allocate(8 * rows * capacityTokens);
    this.positionsMemory = this.allocate(8 * rows * capacityTokens);
    this.maskMemory = this.allocate(8 * rows * capacityTokens);
    this.ids = words(this.idsMemory);
    this.positions = words(this.positionsMemory);
    words(this.maskMemory).fill(1n);
    const keep = this.allocate(8);
    words(keep)[0] = 1n;
    this.bindInt64(names.logitsToKeep!, keep, []);
    const logits = this.allocate(4 * rows * vocab);
    const { buffer, byteOffset } = logits.bytes;
    this.logits = Array.from({ length: rows }, (_, row) => {
      return new Float32Array(buffer, byteOffset + 4 * row * vocab, vocab);
    });
    const value = Value.over(logits, 0, 'float32', [rows, 1, vocab]);
    this.binding.bindOutput(names.logits, value);
    value.release();
  }

  /** Runs each row's tokens, as many in every row, after `past` ones whose K/V is there, and gives each row's most likely next one. */
  async run(tokens: readonly (readonly number[])[], past: number): Promise<number[]> {
    const { names, session } = this.graph;
    const rows = this.rows;
    const count = tokens[0]!.length;
    for (const [row, ids] of tokens.entries()) {
      for (let i = 0; i < count; i++) this.ids[row * count + i] = BigInt(ids[i]!);
    }
    this.bindInt64(names.inputIds, this.idsMemory, [rows, count]);
    if (names.attentionMask !== null) {
      this.bindInt64(names.attentionMask, this.maskMemory, [rows, past + count]);
    }
    if (names.positionIds !== null) {
      for (let i = 0; i < rows * count; i++) this.positions[i] = BigInt(past + (i % count));
      this.bindInt64(names.positionIds, this.positionsMemory, [rows, count]);
    }
    await session.run(this.binding);
    return this.logits.map(argmax);
  }

  release(): void {
    this.binding.release();
    for (const memory of this.memories) memory.release();
  }

  private bindInt64(name: string, memory: NativeMemory, shape: readonly number[]): void {
    const value = Value.over(memory, 0, 'int64', shape);
    this.binding.bindInput(name, value);
    value.release();
  }

  private allocate(byteLength: number): NativeMemory {
    const memory = NativeMemory.allocate(this.graph.runtime, byteLength);
    this.memories.push(memory);
    return memory;
  }
}

/** Some steps of decoding. */
export interface BareSteps {
  /** Milliseconds of each step, its choice of the next tokens included. */
  readonly ms: readonly number[];
  /** Tokens that each step chose, one a row. */
  readonly tokens: readonly (readonly number[])[];
}

/** Decodes greedily after `past` tokens whose K/V is there: `tokens` are the first ones that are run, one a row. */
export async function bareSteps(
  loop: BareLoop,
  tokens: readonly number[],
  past: number,
  count: number,
): Promise<BareSteps> {
  const ms: number[] = [];
  const chosen = [tokens];
  for (let step = 0; step < count; step++) {
    const beganMs = performance.now();
    chosen.push(
      await loop.run(
        chosen.at(-1)!.map((token) => [token]),
        past + step,
      ),
    );
    ms.push(performance.now() - beganMs);
  }
  return { ms, tokens: chosen.slice(1) };
}

/** Decodes greedily after prompts of the same length, one a row. Milliseconds of each step; the first few are not among them. */
export async function bareDecode(
  graph: ModelGraph,
  prompts: readonly (readonly number[])[],
  count: number,
): Promise<readonly number[]> {
  const past = prompts[0]!.length;
  const loop = new BareLoop(graph, past + WARM_UP_STEPS + count + 1, prompts.length);
  try {
    const { ms } = await bareSteps(loop, await loop.run(prompts, 0), past, WARM_UP_STEPS + count);
    return ms.slice(WARM_UP_STEPS);
  } finally {
    loop.release();
  }
}

function words(memory: NativeMemory): BigInt64Array {
  return new BigInt64Array(memory.bytes.buffer, memory.bytes.byteOffset, Math.floor(memory.byteLength / 8));
}
