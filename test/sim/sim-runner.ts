import type { Clock } from '../../src/clock.js';
import type { Regime } from '../../src/core/kv-dependence.js';
import type { DeviceBlock } from '../../src/device/device.js';
import type { GraphRunner, LogitRows, SequenceSlot } from '../../src/engine/graph-runner.js';
import { BLOCK_TOKENS } from '../../src/limits.js';
import type { SimDevice } from './sim-device.js';
import { computeKv, KV_WORDS, nextToken, POISON_TOKEN, VOCAB } from './sim-model.js';

/** Runs the model of the simulation in virtual time. */

const JOIN_MS_PER_BLOCK = 0.05;
const CUT_MS = 0.1;

interface Slot extends SequenceSlot {
  tokens: number;
  readonly kv: Uint32Array;
  /** Valid until the next run. */
  readonly logits: Float32Array;
}

export interface SimRunnerOptions {
  readonly device: SimDevice;
  readonly clock: Clock;
  readonly contextTokens: number;
  readonly prefillMsPerToken: number;
  readonly decodeMsPerStep: number;
  /** The process computes a prompt that crashes it. */
  readonly onPoison: () => void;
}

export class SimRunner implements GraphRunner {
  readonly verifier = null;
  private readonly slots = new Set<Slot>();
  private prefilling: Slot | null = null;
  private interrupted: (() => void) | null = null;

  constructor(private readonly options: SimRunnerOptions) {}

  get capacity(): number {
    return this.options.device.slots;
  }

  get acquired(): number {
    return this.slots.size;
  }

  acquire(regime: Regime): SequenceSlot {
    const kv = new Uint32Array(KV_WORDS * this.options.contextTokens);
    const slot: Slot = { tokens: 0, regime, adapter: null, kv, logits: new Float32Array(VOCAB) };
    this.slots.add(slot);
    this.prefilling = slot;
    return slot;
  }

  forget(): void {}

  async join(slot: SequenceSlot, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = slot as Slot;
    const done = this.options.device.read(blocks);
    await this.pass(blocks.length * JOIN_MS_PER_BLOCK);
    for (const bytes of done()) {
      own.kv.set(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4), KV_WORDS * own.tokens);
      own.tokens += BLOCK_TOKENS;
    }
  }

  async prefill(slot: SequenceSlot, ids: Uint32Array): Promise<LogitRows> {
    const own = slot as Slot;
    const tokens = ids.slice();
    await Promise.race([
      this.pass(tokens.length * this.options.prefillMsPerToken),
      new Promise<never>((_, reject) => {
        this.interrupted = () => reject(new Error('the run was interrupted'));
      }),
    ]).finally(() => {
      this.interrupted = null;
    });
    if (tokens.includes(POISON_TOKEN)) {
      this.options.onPoison();
      await new Promise(() => {});
    }
    computeKv(own.kv, own.tokens, tokens);
    own.tokens += tokens.length;
    return this.rows([own]);
  }

  interrupt(): void {
    this.interrupted?.();
  }

  async startDecoding(): Promise<void> {
    this.prefilling = null;
  }

  batches(): readonly (readonly SequenceSlot[])[] {
    const decoding = [...this.slots].filter((slot) => slot !== this.prefilling);
    return decoding.length === 0 ? [] : [decoding];
  }

  async decode(batch: readonly SequenceSlot[], ids: readonly number[]): Promise<LogitRows> {
    await this.pass(this.options.decodeMsPerStep);
    const slots = batch as readonly Slot[];
    for (const [i, slot] of slots.entries()) {
      computeKv(slot.kv, slot.tokens, [ids[i]!]);
      slot.tokens += 1;
    }
    return this.rows(slots);
  }

  async cut(slot: SequenceSlot, position: number, block: DeviceBlock): Promise<void> {
    await this.pass(CUT_MS);
    const from = KV_WORDS * position;
    const words = (slot as Slot).kv.slice(from, from + KV_WORDS * BLOCK_TOKENS);
    this.options.device.write(block, new Uint8Array(words.buffer));
  }

  async release(slot: SequenceSlot): Promise<void> {
    this.slots.delete(slot as Slot);
    if (slot === this.prefilling) this.prefilling = null;
  }

  releaseAll(): void {
    this.slots.clear();
    this.prefilling = null;
  }

  close(): void {}

  private rows(slots: readonly Slot[]): LogitRows {
    return {
      row: (i) => {
        const { kv, tokens, logits } = slots[i]!;
        logits.fill(0);
        logits[nextToken(kv, tokens)] = 1;
        return logits;
      },
    };
  }

  private pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.options.clock.after(ms, resolve));
  }
}
