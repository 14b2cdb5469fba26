/** The port through which a node reports what its code does, for metrics. */

type CallOutcome =
  | 'ok'
  /** The code threw, or the call was refused before it ran. */
  | 'threw'
  /** The node lost the actor during the call. */
  | 'lost';

export interface CallReport {
  readonly outcome: CallOutcome;
  /** Milliseconds in the mailbox. */
  readonly waitedMs: number;
  /** Milliseconds from the mailbox to the answer, or to the end of a stream. */
  readonly tookMs: number;
}

export interface HostObserver {
  /** A method of an actor ended; `method` is null if the class has none of the name that was asked for. */
  called(className: string, method: string | null, report: CallReport): void;
  /** A task ended. */
  ran(functionName: string, report: CallReport): void;
  /** An actor was created again, after its node was lost or after a kill. */
  restarted(className: string): void;
}

/** Reports nothing. */
export const NO_OBSERVER: HostObserver = {
  called: () => undefined,
  ran: () => undefined,
  restarted: () => undefined,
};
