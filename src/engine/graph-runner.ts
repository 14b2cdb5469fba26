import type { Regime } from '../core/kv-dependence.js';
import type { Device, DeviceBlock } from '../device/device.js';
import type { LoadedAdapter } from './adapters.js';
import type { ModelGraph } from './model-graph.js';

/** The port through which the scheduler runs a model's graph over the K/V slots of several sequences. */

/** Makes a runner that computes at most `chunkTokens` tokens of a prompt at a time. */
export type MakeRunner = (graph: ModelGraph, device: Device, chunkTokens: number) => GraphRunner;

/** The K/V slot of one running sequence. Only the runner that made it can read its memory. */
export interface SequenceSlot {
  /** Tokens whose K/V is final. */
  readonly tokens: number;
  readonly regime: Regime;
  /** Null: the base model. */
  readonly adapter: LoadedAdapter | null;
}

/** The logits of one run. Valid until the next run. */
export interface LogitRows {
  /** `[vocab]` in float32: after a prefill, of the i-th of the kept positions; after a decode step, of the i-th sequence. */
  row(i: number): Float32Array;
}

/** Runs guessed tokens of an answer together with its last token. */
export interface Verifier {
  /**
   * Runs the last token of a sequence and the tokens guessed after it. The slot must be alone in its batch, and has room for them. Returns the logits
   * after each of the tokens. None of the tokens counts until `accept`.
   */
  verify(slot: SequenceSlot, ids: Uint32Array): Promise<LogitRows>;
  /** The K/V of the first `tokens` tokens of the last `verify` is final; that of the others is void. */
  accept(slot: SequenceSlot, tokens: number): void;
}

/**
 * Runs a model's graph. Calls must not overlap, except that `interrupt` may be called during any other call. At most one slot is
 * prefilling; the other acquired slots are decoding.
 */
export interface GraphRunner {
  /** The number of slots. */
  readonly capacity: number;
  /** The number of acquired slots. */
  readonly acquired: number;

  /**
   * Acquires an empty slot to prefill, for a sequence of this regime that runs with this adapter. A slot must be free, and no other may be
   * prefilling.
   * @param adapter default: the base model. Must stay loaded until the slot is released.
   */
  acquire(regime: Regime, adapter?: LoadedAdapter | null): SequenceSlot;
  /** Copies the first blocks of a prompt into an empty slot. */
  join(slot: SequenceSlot, blocks: readonly DeviceBlock[]): Promise<void>;
  /**
   * Runs the next tokens of the prompt.
   * @param keep the number of last positions whose logits are computed, at least 1
   */
  prefill(slot: SequenceSlot, ids: Uint32Array, keep: number): Promise<LogitRows>;
  /** Makes the running prefill, if any, reject. */
  interrupt(): void;

  /** Turns the prefilling slot into a decoding one. */
  startDecoding(slot: SequenceSlot): Promise<void>;
  /** The decoding slots, grouped into batches. A decode step of all sequences runs each batch once. */
  batches(): readonly (readonly SequenceSlot[])[];
  /**
   * Runs one decode step of a batch.
   * @param batch from `batches()`, since the last `startDecoding` or `release`; of one regime and adapter
   * @param ids `ids[i]` is the last token of `batch[i]`
   */
  decode(batch: readonly SequenceSlot[], ids: readonly number[]): Promise<LogitRows>;

  /** Null if this runner cannot take back tokens, or computes other numbers for several tokens of an answer than for one. */
  readonly verifier: Verifier | null;

  /** Copies tokens `[position, position + blockTokens)` of a slot, whose K/V must be final, into a block. */
  cut(slot: SequenceSlot, position: number, block: DeviceBlock): Promise<void>;
  /** Frees the memory kept for runs with an adapter that no slot uses. */
  forget(adapter: LoadedAdapter): void;
  /** Frees a slot. */
  release(slot: SequenceSlot): Promise<void>;
  /** Frees all slots, even after a failure that left them inconsistent. */
  releaseAll(): void;
  /** Frees the runner's own memory. All slots must be free. */
  close(): void;
}
