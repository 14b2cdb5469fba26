import type { GraphRunner, Lane, LogitRows } from '../../../../src/engine/graph-runner.js';

export type Run =
  | { readonly kind: 'prefill'; readonly lane: Lane; readonly tokens: number }
  | { readonly kind: 'decode'; readonly lanes: readonly Lane[] };

interface FakeLane extends Lane {
  tokens: number;
}

/** Runs nothing, notes what it is asked to run, and lets the clock go on as if it had: a token of a prompt takes 1 ms, a decode step 20. */
export class FakeRunner implements GraphRunner {
  static readonly STEP_MS = 20;
  readonly runs: Run[] = [];
  nowMs = 0;
  /** Called before each run. */
  onRun: () => void = () => {};
  onStart: () => void = () => {};
  private prefilling: FakeLane | null = null;
  private decoding: FakeLane[] = [];
  /** The likeliest token is 1, whatever came before. */
  private readonly logits: LogitRows = { row: () => Float32Array.of(0, 1, 0, 0) };

  constructor(readonly capacity: number) {}

  get open(): number {
    return this.decoding.length + (this.prefilling === null ? 0 : 1);
  }

  start(): Lane {
    if (this.prefilling !== null || this.open >= this.capacity) throw new Error('no room');
    this.onStart();
    this.prefilling = { tokens: 0 };
    return this.prefilling;
  }

  async join(): Promise<void> {}

  async prefill(lane: Lane, ids: Uint32Array): Promise<LogitRows> {
    this.note({ kind: 'prefill', lane, tokens: ids.length }, ids.length);
    (lane as FakeLane).tokens += ids.length;
    return this.logits;
  }

  interrupt(): void {}

  async promote(lane: Lane): Promise<void> {
    this.decoding.push(lane as FakeLane);
    this.prefilling = null;
  }

  batches(): readonly (readonly Lane[])[] {
    return this.decoding.length === 0 ? [] : [[...this.decoding]];
  }

  async decode(lanes: readonly Lane[]): Promise<LogitRows> {
    this.note({ kind: 'decode', lanes: [...lanes] }, FakeRunner.STEP_MS);
    for (const lane of lanes as FakeLane[]) lane.tokens += 1;
    return this.logits;
  }

  async cut(): Promise<void> {}

  async close(lane: Lane): Promise<void> {
    if (lane === this.prefilling) this.prefilling = null;
    this.decoding = this.decoding.filter((other) => other !== lane);
  }

  closeAll(): void {
    this.prefilling = null;
    this.decoding = [];
  }

  release(): void {}

  private note(run: Run, ms: number): void {
    this.onRun();
    this.runs.push(run);
    this.nowMs += ms;
  }
}
