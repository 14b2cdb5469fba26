/** What the elements of a tensor are computed from: constants, lengths, the places of tokens, or the contents of a sequence. */

/** A number of tokens as `news * (tokens of the run) + pasts * (tokens before it) + plus`. */
export interface RowCount {
  readonly news: number;
  readonly pasts: number;
  readonly plus: number;
}

export const NONE: RowCount = { news: 0, pasts: 0, plus: 0 };
export const RUN: RowCount = { news: 1, pasts: 0, plus: 0 };
export const PAST: RowCount = { news: 0, pasts: 1, plus: 0 };
export const TOTAL: RowCount = { news: 1, pasts: 1, plus: 0 };

/** `a + sign * b`; null if one is unknown. */
export function summed(a: RowCount | null, b: RowCount | null, sign: 1 | -1 = 1): RowCount | null {
  if (a === null || b === null) return null;
  return { news: a.news + sign * b.news, pasts: a.pasts + sign * b.pasts, plus: a.plus + sign * b.plus };
}

/** Whether two counts differ by a constant at most. */
export function isLike(a: RowCount | null, b: RowCount): boolean {
  return a !== null && a.news === b.news && a.pasts === b.pasts;
}

/** Numbers of tokens of the sequence or of the run. */
export interface TokenLength {
  readonly kind: 'length';
  /** The operator by which they are no longer a linear function of the length. */
  readonly by: string | null;
  /** The only number; null if unknown. */
  readonly count: RowCount | null;
  /** For the shape of a tensor, whose elements are not told apart yet: the tensor. */
  readonly shapeOf: { readonly tensor: string; readonly origin: TokenPlace | TokenContent } | null;
}

/** One number for each token, or for each pair of tokens, that depends on their places alone: positions, masks, rotary tables. */
export interface TokenPlace {
  readonly kind: 'place';
  /** The operator by which they depend on the length too. */
  readonly by: string | null;
  /** `seen`: elements of attention_mask, which are all 1; `position`: linear functions of positions. */
  readonly values: 'seen' | 'position' | 'other';
  /** The axes with tokens, counted from the end; null if unknown. */
  readonly axes: readonly number[] | null;
  /** What was added to positions from the sequence's start; `addresses` for columns of several such numbers; null if unknown. */
  readonly shift: RowCount | 'addresses' | null;
  /** The tokens of an axis with tokens; null if unknown. */
  readonly count: RowCount | null;
  /** The operator by which the number of elements is no longer a linear function of the length. */
  readonly size: string | null;
}

/** Numbers that are computed from token ids or K/V. */
export interface TokenContent {
  readonly kind: 'content';
  /** Whether there is a single axis. */
  readonly flat: boolean;
  /** Whether the last axis may have tokens: keys turned round, and scores of an attention. */
  readonly scores: boolean;
  readonly count: RowCount | null;
  readonly size: string | null;
  /** Whether they are indices, as NonZero finds them. */
  readonly index: boolean;
  /**
   * The operator that added a multiple of a length to all scores of a row, until a softmax takes it out, or to indices, until they pick.
   */
  readonly shift: string | null;
}

/** The source from which a tensor's elements are computed. */
export type Origin = { readonly kind: 'constant' } | TokenLength | TokenPlace | TokenContent;

export const CONSTANT: Origin = { kind: 'constant' };
export const CONTENT: TokenContent = {
  ...{ kind: 'content', flat: false, scores: false, count: null, size: null, index: false, shift: null },
};

export function lengthOf(by: string | null, count: RowCount | null = null): TokenLength {
  return { kind: 'length', by, count, shapeOf: null };
}

export function placeOf(fields: Partial<Omit<TokenPlace, 'kind'>> = {}): TokenPlace {
  return { kind: 'place', by: null, values: 'other', axes: null, shift: NONE, count: null, size: null, ...fields };
}

/** The origin of a model's input. */
export function inputOrigin(name: string): Origin {
  if (name === 'attention_mask') return placeOf({ values: 'seen', axes: [-1], count: TOTAL });
  if (name === 'position_ids') return placeOf({ values: 'position', axes: [-1], count: RUN });
  if (name === 'input_ids') return { ...CONTENT, count: RUN };
  return name.startsWith('past_key_values.') ? { ...CONTENT, count: PAST } : CONSTANT;
}

/** The operator by which elements are no longer a linear function of lengths; null if they are. */
export function bendOf(origin: Origin): string | null {
  return origin.kind === 'length' || origin.kind === 'place' ? origin.by : null;
}

/** What a place or a length is ahead of places from the sequence's start; constants are not ahead. */
export function shiftOf(origin: Origin): RowCount | null {
  if (origin.kind === 'length') return origin.count;
  if (origin.kind !== 'place') return NONE;
  return origin.shift === 'addresses' ? null : origin.shift;
}

/** Whether elements belong to the places of a sequence, however long it is. */
export function isSettled(origin: Origin): boolean {
  if (origin.kind === 'length') return false;
  return origin.kind !== 'place' || isLike(shiftOf(origin), NONE);
}

/** Whether numbers are the places of rows: from the start of the sequence or of the run. */
export function addressesRows({ shift }: TokenPlace): boolean {
  return shift === 'addresses' || isLike(shift, NONE) || isLike(shift, { news: 0, pasts: -1, plus: 0 });
}
