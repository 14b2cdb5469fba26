import { argmax } from '../src/core/sampling/choice.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { InvalidRequest } from '../src/errors.js';
import type { Binding } from '../src/ort/binding.js';
import { tensorBytes } from '../src/ort/element-type.js';
import { NativeMemory } from '../src/ort/memory.js';
import { Value } from '../src/ort/value.js';

/**
 * The floor under the engine: the same graph, with the same session, threads and kind of run, over K/V bound once; nothing is scheduled, cached,
 * sampled or sent. Logits of the last position only, as the engine asks for them.
 */
export class BareLoop {
  readonly #graph: ModelGraph;
  readonly #binding: Binding;
  readonly #memories: NativeMemory[] = [];
  readonly #ids: BigInt64Array;
  readonly #positions: BigInt64Array;
  readonly #idsMemory: NativeMemory;
  readonly #positionsMemory: NativeMemory;
  readonly #maskMemory: NativeMemory;
  readonly #logits: Float32Array;

  constructor(graph: ModelGraph, capacityTokens: number) {
    if (graph.kind !== 'in-place' || graph.names.logitsToKeep === null || graph.logitsType !== 'float32') {
      throw new InvalidRequest(
        'the bare loop runs graphs that append K/V in place and make float32 logits of the last position',
      );
    }
    const { layout, names, vocab } = graph;
    this.#graph = graph;
    this.#binding = graph.session.createBinding();
    const shape = [1, layout.kvHeads, capacityTokens, layout.headDim];
    names.past.forEach((past, i) => {
      const kv = Value.over(this.#allocate(tensorBytes(layout.elementType, shape)), 0, layout.elementType, shape);
      this.#binding.bindInput(past, kv);
      this.#binding.bindOutput(names.present[i]!, kv);
      kv.release();
    });
    this.#idsMemory = this.#allocate(8 * capacityTokens);
    this.#positionsMemory = this.#allocate(8 * capacityTokens);
    this.#maskMemory = this.#allocate(8 * capacityTokens);
    this.#ids = words(this.#idsMemory);
    this.#positions = words(this.#positionsMemory);
    words(this.#maskMemory).fill(1n);
    const keep = this.#allocate(8);
    words(keep)[0] = 1n;
    this.#bindInt64(names.logitsToKeep!, keep, []);
    const logits = this.#allocate(4 * vocab);
    this.#logits = new Float32Array(logits.bytes.buffer, logits.bytes.byteOffset, vocab);
    const value = Value.over(logits, 0, 'float32', [1, 1, vocab]);
    this.#binding.bindOutput(names.logits, value);
    value.release();
  }

  /** Runs the tokens after `past` ones whose K/V is there, and gives the most likely next one. */
  async run(tokens: readonly number[], past: number): Promise<number> {
    const { names, session } = this.#graph;
    for (let i = 0; i < tokens.length; i++) this.#ids[i] = BigInt(tokens[i]!);
    this.#bindInt64(names.inputIds, this.#idsMemory, [1, tokens.length]);
    if (names.attentionMask !== null) {
      this.#bindInt64(names.attentionMask, this.#maskMemory, [1, past + tokens.length]);
    }
    if (names.positionIds !== null) {
      for (let i = 0; i < tokens.length; i++) this.#positions[i] = BigInt(past + i);
      this.#bindInt64(names.positionIds, this.#positionsMemory, [1, tokens.length]);
    }
    await session.run(this.#binding);
    return argmax(this.#logits);
  }

  release(): void {
    this.#binding.release();
    for (const memory of this.#memories) memory.release();
  }

  #bindInt64(name: string, memory: NativeMemory, shape: readonly number[]): void {
    const value = Value.over(memory, 0, 'int64', shape);
    this.#binding.bindInput(name, value);
    value.release();
  }

  #allocate(byteLength: number): NativeMemory {
    const memory = NativeMemory.allocate(this.#graph.runtime, byteLength);
    this.#memories.push(memory);
    return memory;
  }
}

export interface BareDecodeOptions {
  readonly prompt: readonly number[];
  /** Steps that are measured. */
  readonly steps: number;
  /** Steps before them that are not. */
  readonly warmup?: number;
}

/** Decodes one stream greedily after a prompt. Milliseconds of each step, its choice of the next token included. */
export async function bareDecode(graph: ModelGraph, options: BareDecodeOptions): Promise<number[]> {
  const { prompt, steps, warmup = 4 } = options;
  const loop = new BareLoop(graph, prompt.length + warmup + steps + 1);
  try {
    let token = await loop.run(prompt, 0);
    const samples: number[] = [];
    for (let step = 0; step < warmup + steps; step++) {
      const beganMs = performance.now();
      token = await loop.run([token], prompt.length + step);
      if (step >= warmup) samples.push(performance.now() - beganMs);
    }
    return samples;
  } finally {
    loop.release();
  }
}

export interface BarePrefillOptions {
  /** Tokens whose K/V is there before; computed once and not measured. */
  readonly past: readonly number[];
  /** Tokens that are prefilled after them, in chunks, each round anew. */
  readonly tokens: readonly number[];
  readonly chunkTokens: number;
  readonly rounds: number;
  readonly warmup?: number;
}

/** Prefills tokens after a past, again and again. Milliseconds of each round, its choice of the first token included. */
export async function barePrefill(graph: ModelGraph, options: BarePrefillOptions): Promise<number[]> {
  const { past, tokens, chunkTokens, rounds, warmup = 1 } = options;
  const loop = new BareLoop(graph, past.length + tokens.length);
  const runAll = async (ids: readonly number[], from: number) => {
    for (let i = 0; i < ids.length; i += chunkTokens) await loop.run(ids.slice(i, i + chunkTokens), from + i);
  };
  try {
    await runAll(past, 0);
    const samples: number[] = [];
    for (let round = 0; round < warmup + rounds; round++) {
      const beganMs = performance.now();
      await runAll(tokens, past.length);
      if (round >= warmup) samples.push(performance.now() - beganMs);
    }
    return samples;
  } finally {
    loop.release();
  }
}

function words(memory: NativeMemory): BigInt64Array {
  return new BigInt64Array(memory.bytes.buffer, memory.bytes.byteOffset, Math.floor(memory.byteLength / 8));
}
