/** What text needs of a tokenizer. */
export interface TokenDecoder {
  /** Text of a run of tokens. Bytes that are no UTF-8 become U+FFFD, as WHATWG's decoder does it. */
  decode(ids: number[], options: { skipSpecialTokens: boolean }): string;
  readonly specialIds: ReadonlySet<number>;
}
