/** The port through which text is decoded: the part of a tokenizer that a detokenizer needs. */
export interface TokenDecoder {
  /** The text of a run of tokens. Invalid UTF-8 becomes U+FFFD, as in WHATWG's decoder. */
  decode(ids: number[], options: { skipSpecialTokens: boolean }): string;
  readonly specialIds: ReadonlySet<number>;
}
