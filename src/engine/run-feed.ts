import type { Regime } from '../core/kv-dependence.js';
import type { Device } from '../device/device.js';
import type { Binding } from '../ort/binding.js';
import type { LogitRows } from './graph-runner.js';
import { Int64Input } from './int64-input.js';
import { LogitsOutput } from './logits-output.js';
import type { ModelGraph } from './model-graph.js';

/** The inputs and outputs of a run besides K/V: ids, mask, positions, logits. */

/** The length given to a graph that picks its rotary tables by length. All lengths of a regime select the same tables. */
const REGIME_LENGTHS: Record<Regime, number> = { short: 1, long: 2 ** 30 };

/** The tokens of one run, and the logits wanted of it. */
export interface RunShape {
  /** Token ids `[batch, new tokens]`. */
  readonly ids: ArrayLike<number>;
  /** For each row of the batch, the number of tokens whose K/V is present. */
  readonly pasts: readonly number[];
  /** The number of last positions whose logits are wanted, at most the new tokens of a row. */
  readonly keep: number;
  /** The regime of all rows. */
  readonly regime: Regime;
}

/** The inputs and outputs of all runs, over shared memory: runs must not overlap. */
export class RunFeed {
  private readonly ids: Int64Input;
  private readonly mask: Int64Input | null;
  private readonly positions: Int64Input | null;
  private readonly keep: Int64Input | null;
  private readonly keepShape: readonly [] | readonly [1];
  private readonly regime: Int64Input | null;
  private readonly lastOnly: boolean;
  private readonly logits: LogitsOutput;
  private readonly device: Device;

  /**
   * @param idCount the maximum number of token ids of a run
   * @param maskCount the number of elements of the largest mask
   * @param rows the maximum number of sequences of a batch
   */
  constructor(graph: ModelGraph, device: Device, idCount: number, maskCount: number, rows: number) {
    const { runtime, names, session } = graph;
    const input = (name: string, capacity: number) =>
      new Int64Input(runtime, name, capacity, session.provider !== 'cpu');
    const optional = (name: string | null, capacity: number) => (name === null ? null : input(name, capacity));
    this.device = device;
    this.ids = input(names.inputIds, idCount);
    this.mask = optional(names.attentionMask, maskCount);
    this.positions = optional(names.positionIds, idCount);
    this.keep = optional(names.logitsToKeep, 1);
    this.keepShape = names.logitsToKeepShape;
    this.regime = optional(names.regimeTokens, 1);
    this.lastOnly = graph.lastLogitsOnly;
    this.logits = new LogitsOutput(graph, rows);
  }

  /**
   * Binds the inputs and the logits of a run, inside the session's `exclusive`. After the run, the result has the logits of `keep` positions of
   * each row of the batch; of a graph with a pruned head, of the last position for all of them.
   */
  bind(binding: Binding, { ids, pasts, keep, regime }: RunShape): LogitRows {
    const batch = pasts.length;
    const newTokens = ids.length / batch;
    for (let i = 0; i < ids.length; i++) this.ids.set(i, ids[i]!);
    let inBytes = this.ids.bind(binding, [batch, newTokens]);
    if (this.mask !== null) inBytes += bindMask(this.mask, binding, pasts, newTokens);
    if (this.positions !== null) {
      for (let i = 0; i < ids.length; i++) this.positions.set(i, pasts[Math.floor(i / newTokens)]! + (i % newTokens));
      inBytes += this.positions.bind(binding, [batch, newTokens]);
    }
    this.keep?.set(0, this.lastOnly ? 1 : keep);
    inBytes += this.keep?.bind(binding, this.keepShape) ?? 0;
    this.regime?.set(0, REGIME_LENGTHS[regime]);
    inBytes += this.regime?.bind(binding, []) ?? 0;
    // A graph without `num_logits_to_keep` computes the logits of all positions.
    const made = this.lastOnly ? 1 : this.keep === null ? newTokens : keep;
    this.device.countRun(inBytes, this.logits.bind(binding, batch, made));
    if (this.lastOnly) return { row: (i) => this.logits.row(Math.floor(i / keep)) };
    return { row: (i) => this.logits.row(Math.floor(i / keep) * made + (made - keep) + (i % keep)) };
  }

  release(): void {
    for (const input of [this.ids, this.mask, this.positions, this.keep, this.regime]) input?.release();
    this.logits.release();
  }
}

/** Binds the mask `[batch, longest]`, with as many ones in each row as the row has tokens. */
function bindMask(mask: Int64Input, binding: Binding, pasts: readonly number[], newTokens: number): number {
  const longest = Math.max(...pasts) + newTokens;
  mask.words.fill(1n, 0, pasts.length * longest);
  for (let row = 0; row < pasts.length; row++) {
    mask.words.fill(0n, row * longest + pasts[row]! + newTokens, (row + 1) * longest);
  }
  return mask.bind(binding, [pasts.length, longest]);
}
