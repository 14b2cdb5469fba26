/** Names a request without revealing it. */
export interface RequestName {
  /** Fingerprint of its prompt. */
  readonly prompt: string;
  /** Fingerprint of its prompt and of all else that can crash a worker. */
  readonly request: string;
}

/** A conviction: of one request, or, where `request` is null, of all requests with the prompt. */
export interface Convicted {
  readonly prompt: string;
  readonly request: string | null;
}
