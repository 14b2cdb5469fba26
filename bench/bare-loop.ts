import { argmax } from '../src/core/sampling/selection.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { InvalidRequest } from '../src/errors.js';
import type { Binding } from '../src/ort/binding.js';
import { tensorBytes } from '../src/ort/element-type.js';
import { NativeMemory } from '../src/ort/memory.js';
import { Value } from '../src/ort/value.js';

/** The baseline of the engine: the bare graph in a loop, without scheduling, caching, sampling or sending. */

const WARM_UP_STEPS = 4;

/**
 * Uses the same graph, session options and threads as the engine, over K/V that is bound once, and computes the logits of the last position
 * only. All rows have the same length.
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
  /** `[vocab]` for each row. */
  private readonly logits: Float32Array[];
  private readonly rows: number;

  constructor(graph: ModelGraph, capacityTokens: number, rows = 1) {
    if (graph.kind !== 'in-place' || graph.names.logitsToKeep === null || graph.logitsType !== 'float32') {
      throw new InvalidRequest(
        'cannot run the graph in the bare loop: it must append K/V in place and compute float32 logits of the last position',
      );
    }
    const { layout, names, vocab } = graph;
    this.graph = graph;
    this.binding = graph.session.createBinding();
    this.rows = rows;
    const shape = [rows, layout.kvHeads, capacityTokens, layout.headDim];
    names.past.forEach((past, i) => {
      const kv = Value.view(this.allocate(tensorBytes(layout.elementType, shape)), 0, layout.elementType, shape);
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
    const value = Value.view(logits, 0, 'float32', [rows, 1, vocab]);
    this.binding.bindOutput(names.logits, value);
    value.release();
  }

  /** Runs the same number of tokens in each row, after `past` tokens whose K/V is present. Returns each row's most likely next token. */
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
    const value = Value.view(memory, 0, 'int64', shape);
    this.binding.bindInput(name, value);
    value.release();
  }

  private allocate(byteLength: number): NativeMemory {
    const memory = NativeMemory.allocate(this.graph.runtime, byteLength);
    this.memories.push(memory);
    return memory;
  }
}

/** The results of decode steps. */
export interface BareSteps {
  /** The time of each step, including the choice of the next tokens. */
  readonly ms: readonly number[];
  /** The tokens that each step chose, one per row. */
  readonly tokens: readonly (readonly number[])[];
}

/** Decodes greedily after `past` tokens whose K/V is present. `tokens` are the first tokens to run, one per row. */
export async function bareSteps(
  loop: BareLoop,
  tokens: readonly number[],
  past: number,
  count: number,
): Promise<BareSteps> {
  const ms: number[] = [];
  const chosen = [tokens];
  for (let step = 0; step < count; step++) {
    const startMs = performance.now();
    chosen.push(
      await loop.run(
        chosen.at(-1)!.map((token) => [token]),
        past + step,
      ),
    );
    ms.push(performance.now() - startMs);
  }
  return { ms, tokens: chosen.slice(1) };
}

/** Decodes greedily after prompts of equal length, one per row. Returns the time of each step after the warm-up. */
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
