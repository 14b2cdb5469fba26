import { widenBfloat16, widenFloat16 } from '../core/sampling/half.js';
import type { Binding } from '../ort/binding.js';
import { elementBytes } from '../ort/element-type.js';
import { NativeMemory } from '../ort/memory.js';
import { Value } from '../ort/value.js';
import { sameShape } from './int64-input.js';
import type { ModelGraph } from './model-graph.js';

/** The logits output `[batch, positions, vocab]`, over memory that grows to the largest shape seen. */
export class LogitsOutput {
  private readonly graph: ModelGraph;
  private readonly rowBytes: number;
  private readonly widened: Float32Array;
  private memory: NativeMemory;
  private shape: readonly number[] = [];
  private bound: Binding | null = null;

  /** @param rows the number of `[vocab]` rows of a typical run */
  constructor(graph: ModelGraph, rows: number) {
    this.graph = graph;
    this.rowBytes = graph.vocab * elementBytes(graph.logitsType);
    this.widened = new Float32Array(graph.logitsType === 'float32' ? 0 : graph.vocab);
    this.memory = NativeMemory.allocate(graph.runtime, rows * this.rowBytes);
  }

  /** Binds the output with the shape `[batch, positions, vocab]`, unless it already is. Returns the number of bytes that the run writes. */
  bind(binding: Binding, batch: number, positions: number): number {
    const shape = [batch, positions, this.graph.vocab];
    const bytes = batch * positions * this.rowBytes;
    if (this.bound === binding && sameShape(shape, this.shape)) return bytes;
    this.fit(batch * positions);
    const value = Value.view(this.memory, 0, this.graph.logitsType, shape);
    binding.bindOutput(this.graph.names.logits, value);
    value.release();
    this.bound = binding;
    this.shape = shape;
    return bytes;
  }

  /** The `index`-th row `[vocab]` in float32. Valid until the next call or the next run. */
  row(index: number): Float32Array {
    const { vocab, logitsType } = this.graph;
    const { buffer, byteOffset } = this.memory.bytes;
    const at = byteOffset + index * this.rowBytes;
    if (logitsType === 'float32') return new Float32Array(buffer, at, vocab);
    const halves = new Uint16Array(buffer, at, vocab);
    if (logitsType === 'float16') widenFloat16(halves, this.widened);
    else widenBfloat16(halves, this.widened);
    return this.widened;
  }

  /** Grows the memory if needed. Other bindings keep the old memory alive, and must be bound again before their next run. */
  private fit(rows: number): void {
    if (rows * this.rowBytes <= this.memory.byteLength) return;
    this.memory.release();
    this.memory = NativeMemory.allocate(this.graph.runtime, rows * this.rowBytes);
  }

  release(): void {
    this.memory.release();
  }
}
