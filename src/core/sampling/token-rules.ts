import { InvalidRequest } from '../../errors.js';

/** The tokens that an answer may have, independent of their logits. */
export interface TokenRuleSettings {
  /** The only tokens that may be chosen, end tokens included. Absent for all. */
  readonly allowed?: ArrayLike<number> | undefined;
  /** Runs of tokens that the answer may not have: the last token of one cannot be chosen after the others. */
  readonly banned?: readonly (readonly number[])[] | undefined;
}

/** The rules of one sequence, with as much of the end of its answer as they look at. */
export class TokenRules {
  private readonly allowed: ArrayLike<number> | null;
  private readonly banned: readonly (readonly number[])[];
  /** The last tokens of the answer. */
  private tail: number[] = [];
  private readonly tailTokens: number;
  private readonly kept: Float32Array;

  /** @param generated tokens of the answer that another worker has generated */
  constructor({ allowed, banned }: TokenRuleSettings, generated: ArrayLike<number>) {
    this.allowed = allowed ?? null;
    this.banned = banned ?? [];
    this.tailTokens = Math.max(0, ...this.banned.map((run) => run.length - 1));
    this.kept = new Float32Array(this.allowed?.length ?? 0);
    for (let i = Math.max(0, generated.length - this.tailTokens); i < generated.length; i++) this.count(generated[i]!);
  }

  /** Whether there are rules. */
  get active(): boolean {
    return this.allowed !== null || this.banned.length > 0;
  }

  /** Takes the tokens that cannot be chosen next out of `logits`, in place. */
  apply(logits: Float32Array): void {
    if (this.allowed !== null) this.keepOnly(logits, this.allowed);
    for (const run of this.banned) if (this.endsWith(run)) logits[run.at(-1)!] = Number.NEGATIVE_INFINITY;
  }

  /** Counts a generated token. */
  count(id: number): void {
    if (this.tailTokens === 0) return;
    this.tail.push(id);
    if (this.tail.length > this.tailTokens) this.tail.shift();
  }

  private keepOnly(logits: Float32Array, ids: ArrayLike<number>): void {
    for (let i = 0; i < ids.length; i++) this.kept[i] = logits[ids[i]!]!;
    logits.fill(Number.NEGATIVE_INFINITY);
    for (let i = 0; i < ids.length; i++) logits[ids[i]!] = this.kept[i]!;
  }

  /** Whether the answer ends with all of a run but its last token. */
  private endsWith(run: readonly number[]): boolean {
    const from = this.tail.length - (run.length - 1);
    if (from < 0) return false;
    for (let i = 0; i < run.length - 1; i++) if (this.tail[from + i] !== run[i]) return false;
    return true;
  }
}

/** @throws InvalidRequest if no token is left to choose */
export function checkTokenLeft(logits: Float32Array): void {
  for (let id = 0; id < logits.length; id++) if (logits[id]! !== Number.NEGATIVE_INFINITY) return;
  throw new InvalidRequest(
    'allowed_token_ids and bad_words, with the other fields of the request, leave no token with which the answer could continue',
  );
}
