import type { DeviceBlock } from '../device/device.js';

/** K/V of one running sequence. Made by a runner, and only for it to read. */
export interface Lane {
  /** Tokens whose K/V is final. */
  readonly tokens: number;
}

/** Logits of a run. Valid until the next one. */
export interface LogitRows {
  /** `[vocab]` in float32: of a prefill, the i-th of the positions kept; of a decode step, the i-th sequence's. */
  row(i: number): Float32Array;
}

/**
 * Runs a model's graph over the K/V of several sequences. One call at a time: whoever calls waits for the one before, `interrupt` alone may
 * be called meanwhile. At most one lane prefills; the others decode.
 */
export interface GraphRunner {
  /** How many lanes there can be. */
  readonly capacity: number;
  /** How many there are. */
  readonly open: number;

  /** Opens a lane that prefills. There must be room, and no other lane may be prefilling. */
  start(): Lane;
  /** Copies a prompt's first blocks into a fresh lane. */
  join(lane: Lane, blocks: readonly DeviceBlock[]): Promise<void>;
  /**
   * Runs the next tokens of the prompt.
   * @param keep how many of the last positions' logits are wanted, at least 1
   */
  prefill(lane: Lane, ids: Uint32Array, keep: number): Promise<LogitRows>;
  /** Ends the prefill that is running, if one is, with an error. */
  interrupt(): void;

  /** Makes the prefilling lane one that decodes. */
  promote(lane: Lane): Promise<void>;
  /** The lanes that decode, in the sets in which they are run together. Every step runs each set once. */
  batches(): readonly (readonly Lane[])[];
  /** One step of a set that `batches` gave since the last `promote` or `close`: `ids[i]` is the last token of lane i. */
  decode(batch: readonly Lane[], ids: readonly number[]): Promise<LogitRows>;

  /** Copies a lane's tokens `[position, position + blockTokens)`, which must be final, into a block. */
  cut(lane: Lane, position: number, block: DeviceBlock): Promise<void>;
  /** Gives a lane up. */
  close(lane: Lane): Promise<void>;
  /** Gives all lanes up, whatever state they are in. */
  closeAll(): void;
  /** Frees what the runner made for itself. No lane may be open. */
  release(): void;
}
