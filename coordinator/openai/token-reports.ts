import type { TokenLogprobs } from '../../src/protocol/generate.js';
import type { TextTokenizer } from './served-model.js';
import { type ShownToken, shown, type TokenReport } from './token-report.js';

/**
 * Tokens with their log-probabilities, of which a long answer has very many: kept as lists of plain numbers, eight bytes each, until they are
 * rendered, one token after another.
 */
export class TokenReports {
  private readonly tokenizer: TextTokenizer;
  private readonly ids: number[] = [];
  private readonly offsets: number[] = [];
  /** NaN for none, as a list that has nothing but numbers in it is half as large. */
  private readonly _logprobs: number[] = [];
  /** For each token, how many alternatives there are up to and with its own. */
  private readonly topEnds: number[] = [];
  private readonly topIds: number[] = [];
  private readonly topLogprobs: number[] = [];
  /** By id, once they were rendered: the same ones are alternatives again and again. */
  private readonly shownTokens = new Map<number, ShownToken>();

  constructor(tokenizer: TextTokenizer) {
    this.tokenizer = tokenizer;
  }

  /** Tokens. */
  get length(): number {
    return this.ids.length;
  }

  /** Log-probabilities: the tokens' own and their alternatives'. */
  get logprobs(): number {
    return this.ids.length + this.topIds.length;
  }

  /** @param offset as in `TokenReport` */
  add(id: number, logprobs: TokenLogprobs | null, offset: number): void {
    this.ids.push(id);
    this.offsets.push(offset);
    this._logprobs.push(logprobs?.logprob ?? Number.NaN);
    for (const [token, logprob] of logprobs?.top ?? []) {
      this.topIds.push(token);
      this.topLogprobs.push(logprob);
    }
    this.topEnds.push(this.topIds.length);
  }

  /** Adds all of `others`. */
  append(others: TokenReports): void {
    const before = this.topIds.length;
    for (const id of others.ids) this.ids.push(id);
    for (const offset of others.offsets) this.offsets.push(offset);
    for (const logprob of others._logprobs) this._logprobs.push(logprob);
    for (const end of others.topEnds) this.topEnds.push(before + end);
    for (const id of others.topIds) this.topIds.push(id);
    for (const logprob of others.topLogprobs) this.topLogprobs.push(logprob);
  }

  token(index: number): ShownToken {
    return this.shown(this.ids[index]!);
  }

  logprob(index: number): number | null {
    const logprob = this._logprobs[index]!;
    return Number.isNaN(logprob) ? null : logprob;
  }

  offset(index: number): number {
    return this.offsets[index]!;
  }

  /** All of a token's report. */
  at(index: number): TokenReport {
    const begin = index === 0 ? 0 : this.topEnds[index - 1]!;
    const top = this.topIds.slice(begin, this.topEnds[index]!).map((id, i) => {
      const { text, bytes } = this.shown(id);
      return { text, bytes, logprob: this.topLogprobs[begin + i]! };
    });
    const { text, bytes } = this.token(index);
    return { text, bytes, logprob: this.logprob(index), top, offset: this.offset(index) };
  }

  /** What `part` gives for each token's index. */
  list<T>(part: (index: number) => T): T[] {
    return this.ids.map((_, index) => part(index));
  }

  /** What `render` makes of each token's report, for `JSON.stringify` alone: it is made when it is written, and not kept. */
  listWhenWritten(render: (report: TokenReport) => unknown): object[] {
    return this.list((index) => new WhenWritten(this, index, render));
  }

  private shown(id: number): ShownToken {
    const known = this.shownTokens.get(id);
    if (known !== undefined) return known;
    const token = shown(this.tokenizer.tokenBytes(id));
    this.shownTokens.set(id, token);
    return token;
  }
}

class WhenWritten {
  constructor(
    private readonly reports: TokenReports,
    private readonly index: number,
    private readonly render: (report: TokenReport) => unknown,
  ) {}

  toJSON(): unknown {
    return this.render(this.reports.at(this.index));
  }
}
