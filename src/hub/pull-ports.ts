import type { Clock } from '../clock.js';

/** The ports of a download: its events, clock and signal. */
export interface PullPorts {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onEvent: (event: PullEvent) => void;
}

export type PullEvent =
  /** `doneBytes` are there from an earlier attempt. */
  | { readonly type: 'started'; readonly path: string; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly type: 'progress'; readonly path: string; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly type: 'finished'; readonly path: string; readonly totalBytes: number }
  /** Another process of this host downloads the file. */
  | { readonly type: 'waiting'; readonly path: string }
  /** `path` is a file's, or words for another subject. */
  | { readonly type: 'retrying'; readonly path: string; readonly why: string; readonly inMs: number }
  | { readonly type: 'again'; readonly path: string; readonly why: string }
  /** Members of the fleet have the model. */
  | { readonly type: 'from-fleet'; readonly from: string }
  /** They cannot give it, and the hub is asked. */
  | { readonly type: 'without-fleet'; readonly why: string }
  /** The hub was not asked, or did not answer. */
  | { readonly type: 'from-cache'; readonly why: string };
