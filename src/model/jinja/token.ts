/** A token of the parser. */
export interface Token {
  readonly type: string;
  readonly value: string;
}
