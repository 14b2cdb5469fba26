import type { TokenLogprobs } from '../../src/protocol/generate.js';
import type { TextTokenizer } from './served-model.js';
import { type ShownToken, showToken, type TokenReport } from './token-report.js';

/**
 * Tokens with their log-probabilities, stored compactly: plain arrays of numbers, eight bytes each.
 *
 * A long answer has very many of them, so tokens become objects one by one, only while the answer is serialized.
 */
export class TokenReports {
  private readonly tokenizer: TextTokenizer;
  private readonly ids: number[] = [];
  private readonly offsets: number[] = [];
  /** The requested ranks; NaN for none. */
  private readonly ranks: number[] = [];
  /** NaN for none: an array of numbers alone takes half the memory of a mixed array. */
  private readonly _logprobs: number[] = [];
  /** For each token, the end of its alternatives in `topIds` and `topLogprobs`. */
  private readonly topEnds: number[] = [];
  private readonly topIds: number[] = [];
  private readonly topLogprobs: number[] = [];
  /** By index: tokens that are shown differently from the text that they add. */
  private readonly shownAs = new Map<number, ShownToken>();
  /** Cache by id: the same tokens recur as alternatives. */
  private readonly shownTokens = new Map<number, ShownToken>();

  /** @param asIds whether tokens are shown as `token_id:ID` */
  constructor(
    tokenizer: TextTokenizer,
    private readonly asIds = false,
  ) {
    this.tokenizer = tokenizer;
  }

  /** Number of tokens. */
  get length(): number {
    return this.ids.length;
  }

  /** Number of log-probabilities, of tokens and of alternatives. */
  get logprobs(): number {
    return this.ids.length + this.topIds.length;
  }

  /** Adds a token; `offset` as in `TokenReport`. `shown` takes the place of the text that the token adds. */
  add(id: number, logprobs: TokenLogprobs | null, offset: number, shown: string | null = null): void {
    if (shown !== null) this.shownAs.set(this.ids.length, { text: shown, bytes: [...Buffer.from(shown)] });
    this.ids.push(id);
    this.offsets.push(offset);
    this.ranks.push(logprobs?.rank ?? Number.NaN);
    this._logprobs.push(logprobs?.logprob ?? Number.NaN);
    for (const [token, logprob] of logprobs?.top ?? []) {
      this.topIds.push(token);
      this.topLogprobs.push(logprob);
    }
    this.topEnds.push(this.topIds.length);
  }

  append(others: TokenReports): void {
    const before = this.topIds.length;
    for (const [index, shown] of others.shownAs) this.shownAs.set(this.ids.length + index, shown);
    for (const id of others.ids) this.ids.push(id);
    for (const offset of others.offsets) this.offsets.push(offset);
    for (const rank of others.ranks) this.ranks.push(rank);
    for (const logprob of others._logprobs) this._logprobs.push(logprob);
    for (const end of others.topEnds) this.topEnds.push(before + end);
    for (const id of others.topIds) this.topIds.push(id);
    for (const logprob of others.topLogprobs) this.topLogprobs.push(logprob);
  }

  token(index: number): ShownToken {
    return (this.asIds ? undefined : this.shownAs.get(index)) ?? this.shown(this.ids[index]!);
  }

  logprob(index: number): number | null {
    const logprob = this._logprobs[index]!;
    return Number.isNaN(logprob) ? null : logprob;
  }

  offset(index: number): number {
    return this.offsets[index]!;
  }

  /** The full report of a token. */
  at(index: number): TokenReport {
    const begin = index === 0 ? 0 : this.topEnds[index - 1]!;
    const { text, bytes } = this.token(index);
    const top = this.topIds.slice(begin, this.topEnds[index]!).map((id, i) => {
      const shown = id === this.ids[index] ? { text, bytes } : this.shown(id);
      return { id, text: shown.text, bytes: shown.bytes, logprob: this.topLogprobs[begin + i]! };
    });
    const rank = this.ranks[index]!;
    return {
      id: this.ids[index]!,
      text,
      bytes,
      logprob: this.logprob(index),
      top,
      rank: Number.isNaN(rank) ? null : rank,
      offset: this.offset(index),
    };
  }

  /** Maps the index of each token. */
  map<T>(transform: (index: number) => T): T[] {
    return this.ids.map((_, index) => transform(index));
  }

  /** Maps the report of each token, for `JSON.stringify` only: `render` runs during serialization and its result is not kept. */
  mapLazily(render: (report: TokenReport) => unknown): object[] {
    return this.map((index) => new LazyReport(this, index, render));
  }

  private shown(id: number): ShownToken {
    const known = this.shownTokens.get(id);
    if (known !== undefined) return known;
    const own = showToken(this.tokenizer.tokenBytes(id));
    const token = this.asIds ? { text: `token_id:${id}`, bytes: own.bytes } : own;
    this.shownTokens.set(id, token);
    return token;
  }
}

/** Calls `render` when it is serialized. */
class LazyReport {
  constructor(
    private readonly reports: TokenReports,
    private readonly index: number,
    private readonly render: (report: TokenReport) => unknown,
  ) {}

  toJSON(): unknown {
    return this.render(this.reports.at(this.index));
  }
}
