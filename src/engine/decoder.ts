import { DraftLength } from '../core/draft-length.js';
import { type FairShares, GENERATED_TOKEN_COST } from '../core/fair-shares.js';
import { lookedUp } from '../core/prompt-lookup.js';
import type { GraphRunner, LogitRows, SequenceSlot, Verifier } from './graph-runner.js';
import type { EngineObserver } from './observer.js';
import type { Sequence } from './sequence.js';
import { failedTogether, type StepOutcome } from './step-outcome.js';

/** Runs decode steps: one token for each sequence of a batch, or several for a sequence that is alone and whose next tokens can be guessed. */

export interface DecoderOptions {
  readonly runner: GraphRunner;
  /** Is charged with each generated token. */
  readonly shares: FairShares;
  /** The most tokens that are guessed at a time; 0 for none. */
  readonly draftTokens: number;
  readonly observer: EngineObserver;
  readonly clockNow: () => number;
}

const NO_DRAFT = new Uint32Array(0);

export class Decoder {
  /** Tokens that sequences have got. */
  generatedTokens = 0;
  private readonly options: DecoderOptions;
  private readonly lengths = new WeakMap<Sequence, DraftLength>();

  constructor(options: DecoderOptions) {
    this.options = options;
  }

  /** Runs one decode step of a batch. `sequences[i]` is in `batch[i]`. Ends no sequence: the outcomes say which have ended. */
  async step(batch: readonly SequenceSlot[], sequences: readonly Sequence[]): Promise<StepOutcome[]> {
    const { runner } = this.options;
    try {
      const draft = batch.length === 1 && runner.verifier !== null ? this.draftOf(sequences[0]!) : NO_DRAFT;
      if (draft.length > 0) return [await this.verify(runner.verifier!, batch[0]!, sequences[0]!, draft)];
      // A step costs the same whether its token is wanted or ends the sequence.
      for (const sequence of sequences) this.charge(sequence);
      const ids = sequences.map(({ lastToken }) => lastToken);
      const logits = await runner.decode(batch, ids);
      return sequences.map((sequence, i) => this.outcome(sequence, batch[i]!, logits, i));
    } catch (error) {
      const failure = batch.length === 1 ? error : failedTogether(error);
      return sequences.map((sequence, i) => ({ sequence, slot: batch[i]!, ended: true, error: failure }));
    }
  }

  /**
   * Chooses a sequence's next token, and sends it. Returns false if the sequence has ended.
   * @param logits `[vocab]`, of its last position
   */
  advance(sequence: Sequence, logits: Float32Array): boolean {
    const { observer, clockNow } = this.options;
    const before = sequence.length;
    const continues = sequence.advance(logits);
    if (sequence.length > before) {
      const nowMs = clockNow();
      this.generatedTokens++;
      if (sequence.lastTokenMs === null) {
        sequence.record.firstTokenMs = nowMs - sequence.arrivedMs;
        observer.onFirstToken(sequence.record.firstTokenMs);
      } else observer.onInterToken(nowMs - sequence.lastTokenMs);
      sequence.lastTokenMs = nowMs;
    }
    return continues;
  }

  /** A guess of the tokens after the sequence's next one, so that a run of both generates one token more than were guessed. */
  private draftOf(sequence: Sequence): Uint32Array {
    let length = this.lengths.get(sequence);
    if (length === undefined) {
      length = new DraftLength(this.options.draftTokens);
      this.lengths.set(sequence, length);
    }
    // The last token that it may generate needs no guess.
    const most = Math.min(length.next(), sequence.missing - 1);
    return lookedUp(sequence.allTokens(), most);
  }

  /**
   * Runs the last token and a guess of the next ones, and takes what the model chooses as long as that is what was guessed, and the token after it. Each
   * token is chosen from the logits that a step of its own would compute: a guess changes the time of an answer alone.
   */
  private async verify(
    verifier: Verifier,
    slot: SequenceSlot,
    sequence: Sequence,
    draft: Uint32Array,
  ): Promise<StepOutcome> {
    // The sequence writes its next tokens where a guess from its own end may lie.
    const guessed = Uint32Array.from(draft);
    const logits = await verifier.verify(slot, Uint32Array.from([sequence.lastToken, ...guessed]));
    let right = 0;
    for (;;) {
      this.charge(sequence);
      const outcome = this.outcome(sequence, slot, logits, right);
      const isRight = !outcome.ended && sequence.lastToken === guessed[right];
      if (isRight) {
        right++;
        continue;
      }
      verifier.accept(slot, right + 1);
      this.lengths.get(sequence)?.verified(guessed.length, right);
      this.options.observer.onGuessed(guessed.length, right);
      return outcome;
    }
  }

  private charge({ tenant }: Sequence): void {
    this.options.shares.charge(tenant, GENERATED_TOKEN_COST);
  }

  private outcome(sequence: Sequence, slot: SequenceSlot, logits: LogitRows, row: number): StepOutcome {
    if (sequence.cancelled) return { sequence, slot, ended: true, error: null };
    try {
      return { sequence, slot, ended: !this.advance(sequence, logits.row(row)), error: null };
    } catch (error) {
      return { sequence, slot, ended: true, error };
    }
  }
}
