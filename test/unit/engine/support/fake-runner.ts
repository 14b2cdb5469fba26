import type { Regime } from '../../../../src/core/kv-dependence.js';
import type { GraphRunner, LogitRows, SequenceSlot } from '../../../../src/engine/graph-runner.js';

export type Run =
  | { readonly kind: 'prefill'; readonly slot: SequenceSlot; readonly tokens: number }
  | { readonly kind: 'decode'; readonly slots: readonly SequenceSlot[] };

interface FakeSlot extends SequenceSlot {
  tokens: number;
}

/** A runner that records runs without a graph, and advances its clock by 1 ms per prompt token and 20 ms per decode step. */
export class FakeRunner implements GraphRunner {
  static readonly STEP_MS = 20;
  readonly runs: Run[] = [];
  readonly verifier = null;
  nowMs = 0;
  /** Called before each run. */
  onRun: () => void = () => {};
  onAcquire: () => void = () => {};
  private prefilling: FakeSlot | null = null;
  private decoding: FakeSlot[] = [];
  private interrupted = false;
  /** The most likely token is always 1. */
  private readonly logits: LogitRows = { row: () => Float32Array.of(0, 1, 0, 0) };

  constructor(readonly capacity: number) {}

  get acquired(): number {
    return this.decoding.length + (this.prefilling === null ? 0 : 1);
  }

  acquire(regime: Regime): SequenceSlot {
    if (this.prefilling !== null || this.acquired >= this.capacity) throw new Error('no slot is free');
    this.onAcquire();
    this.prefilling = { tokens: 0, regime, adapter: null };
    return this.prefilling;
  }

  async join(slot: SequenceSlot, blocks: readonly unknown[]): Promise<void> {
    (slot as FakeSlot).tokens += 64 * blocks.length;
  }

  async prefill(slot: SequenceSlot, ids: Uint32Array): Promise<LogitRows> {
    this.interrupted = false;
    this.note({ kind: 'prefill', slot, tokens: ids.length }, ids.length);
    if (this.interrupted) throw new Error('the run was interrupted');
    (slot as FakeSlot).tokens += ids.length;
    return this.logits;
  }

  forget(): void {}

  interrupt(): void {
    this.interrupted = true;
  }

  async startDecoding(slot: SequenceSlot): Promise<void> {
    this.decoding.push(slot as FakeSlot);
    this.prefilling = null;
  }

  batches(): readonly (readonly SequenceSlot[])[] {
    return this.decoding.length === 0 ? [] : [[...this.decoding]];
  }

  async decode(slots: readonly SequenceSlot[]): Promise<LogitRows> {
    this.note({ kind: 'decode', slots: [...slots] }, FakeRunner.STEP_MS);
    for (const slot of slots as FakeSlot[]) slot.tokens += 1;
    return this.logits;
  }

  async cut(): Promise<void> {}

  async release(slot: SequenceSlot): Promise<void> {
    if (slot === this.prefilling) this.prefilling = null;
    this.decoding = this.decoding.filter((other) => other !== slot);
  }

  releaseAll(): void {
    this.prefilling = null;
    this.decoding = [];
  }

  close(): void {}

  private note(run: Run, ms: number): void {
    this.onRun();
    this.runs.push(run);
    this.nowMs += ms;
  }
}
