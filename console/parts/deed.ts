/** Something that is done once the reader has confirmed it. */
export interface Deed {
  readonly label: string;
  /** The question to the reader: the action and its consequences. */
  readonly question: string;
  /** @throws ApiFailure */
  readonly act: () => Promise<void>;
  /** What the page says until it is done, without the dots; the label by default. */
  readonly doing?: string;
}
