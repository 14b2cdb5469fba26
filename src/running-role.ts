/** A coordinator or worker that runs in this process. */
export interface RunningRole {
  /** What whoever started it wants to know: addresses, mostly. Plain data. */
  readonly ready: unknown;
  /** Ends it in good order. Called once. */
  stop(): Promise<void>;
}
