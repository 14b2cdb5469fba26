/** The text of one call while it is read, character by character. */
export interface CallText {
  /** Null while unknown. */
  readonly name: string | null;
  /** Everything that was read. */
  readonly raw: string;
  readonly done: boolean;
  /** Whether the text cannot be a call. */
  readonly broken: boolean;
  /** Whether it is known which tool is called, and the arguments have begun or are absent. */
  readonly begun: boolean;
  /** Of a broken call: the end of what was read that is in no part of it, or all of it if its arguments are not whole. */
  readonly rest: string;
  push(character: string): void;
  /** The characters of the arguments' JSON that were not taken before. */
  takeArguments(): string;
}
