import { draftLength } from '../core/draft-length.js';
import { type FairShares, GENERATED_TOKEN_COST } from '../core/fair-shares.js';
import { GuessCost } from '../core/guess-cost.js';
import { GuessOdds } from '../core/guess-odds.js';
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

export class Decoder {
  /** Tokens that sequences have got. */
  generatedTokens = 0;
  private readonly options: DecoderOptions;
  private readonly cost = new GuessCost();
  private readonly odds = new WeakMap<Sequence, GuessOdds>();

  constructor(options: DecoderOptions) {
    this.options = options;
  }

  /** Runs one decode step of a batch. `sequences[i]` is in `batch[i]`. Ends no sequence: the outcomes say which have ended. */
  async step(batch: readonly SequenceSlot[], sequences: readonly Sequence[]): Promise<StepOutcome[]> {
    const { verifier } = this.options.runner;
    try {
      if (batch.length > 1 || verifier === null || this.options.draftTokens === 0) {
        return await this.plainStep(batch, sequences);
      }
      return [await this.guessingStep(verifier, batch[0]!, sequences[0]!)];
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

  private async plainStep(batch: readonly SequenceSlot[], sequences: readonly Sequence[]): Promise<StepOutcome[]> {
    // A step costs the same whether its token is wanted or ends the sequence.
    for (const sequence of sequences) this.charge(sequence);
    const ids = sequences.map(({ lastToken }) => lastToken);
    const logits = await this.options.runner.decode(batch, ids);
    return sequences.map((sequence, i) => this.outcome(sequence, batch[i]!, logits, i));
  }

  /** A step of a sequence that is alone. Where a guess does not pay, a step of one token tells whether it would have been right. */
  private async guessingStep(verifier: Verifier, slot: SequenceSlot, sequence: Sequence): Promise<StepOutcome> {
    const { draftTokens, clockNow } = this.options;
    const odds = this.oddsOf(sequence);
    // The last token that it may generate needs no guess.
    const most = Math.min(draftTokens, sequence.missing - 1);
    // A copy: the sequence writes its next tokens where a guess from its own end may lie.
    const guess = Uint32Array.from(lookedUp(sequence.allTokens(), most));
    const length = draftLength({ right: odds.right, cost: this.cost.perToken }, guess.length);
    if (length > 0) return this.verify(verifier, slot, sequence, guess.subarray(0, length));
    const startMs = clockNow();
    const [outcome] = await this.plainStep([slot], [sequence]);
    this.cost.stepped(clockNow() - startMs);
    if (guess.length > 0) odds.observe(1, sequence.lastToken === guess[0] ? 1 : 0);
    return outcome!;
  }

  /**
   * Runs the last token and a guess of the next ones, and takes what the model chooses as long as that is what was guessed, and the token after it. Each
   * token is chosen from the logits that a step of its own would compute: a guess changes the time of an answer alone.
   */
  private async verify(
    verifier: Verifier,
    slot: SequenceSlot,
    sequence: Sequence,
    guess: Uint32Array,
  ): Promise<StepOutcome> {
    const { clockNow, observer } = this.options;
    const startMs = clockNow();
    const logits = await verifier.verify(slot, Uint32Array.from([sequence.lastToken, ...guess]));
    this.cost.verified(guess.length, clockNow() - startMs);
    let right = 0;
    let outcome = this.next(sequence, slot, logits, right);
    while (!outcome.ended && sequence.lastToken === guess[right]) outcome = this.next(sequence, slot, logits, ++right);
    verifier.accept(slot, right + 1);
    this.oddsOf(sequence).observe(guess.length, right);
    observer.onGuessed(guess.length, right);
    return outcome;
  }

  private next(sequence: Sequence, slot: SequenceSlot, logits: LogitRows, row: number): StepOutcome {
    this.charge(sequence);
    return this.outcome(sequence, slot, logits, row);
  }

  private oddsOf(sequence: Sequence): GuessOdds {
    const known = this.odds.get(sequence);
    if (known !== undefined) return known;
    const odds = new GuessOdds();
    this.odds.set(sequence, odds);
    return odds;
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
