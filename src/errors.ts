/**
 * Errors, one class for each decision that a caller can make. They cross process boundaries as `{ code, message, param }` and arrive as the
 * same class.
 */

/** The codes of the classes, on the wire. */
export const ERROR_CODES = [
  'invalid',
  'overloaded',
  'unavailable',
  'cancelled',
  'deadline',
  'refused',
  'corrupt',
  'failed',
  'internal',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** The part of an error that is sent to another process. The stack and the cause are not. */
export interface WireError {
  code: ErrorCode;
  message: string;
  /** For `invalid`: the field of the request that is wrong. For `unavailable`: `absent` if the node has no such actor. */
  param?: string | undefined;
}

const ABSENT = 'absent';

export abstract class ShoalError extends Error {
  abstract readonly code: ErrorCode;
  override get name(): string {
    return this.constructor.name;
  }
  toWire(): WireError {
    return { code: this.code, message: this.message };
  }
}

/** The request is wrong: change it. A retry without a change fails again. */
export class InvalidRequest extends ShoalError {
  readonly code = 'invalid';
  constructor(
    message: string,
    readonly param?: string,
  ) {
    super(message);
  }
  override toWire(): WireError {
    return { code: this.code, message: this.message, param: this.param };
  }
}

/** The prompt crashes the workers that compute it: do not send it again. It reaches other processes as `InvalidRequest`. */
export class PoisonousPrompt extends InvalidRequest {}

/** A queue is full: retry later, here or elsewhere. */
export class Overloaded extends ShoalError {
  readonly code = 'overloaded';
}

/** The callee is gone or not ready: try another one now. */
export class Unavailable extends ShoalError {
  readonly code = 'unavailable';
}

/** The callee was silent: it may or may not be alive. Other processes receive this error as `Unavailable`. */
export class Unheard extends Unavailable {}

/** The other side has no such thing at all: do without it. It reaches other processes as `Unavailable`. */
export class Unsupported extends Unavailable {}

/** The node has no such actor, so the call did nothing: look the actor up again. */
export class NoSuchActor extends Unavailable {
  override toWire(): WireError {
    return { code: this.code, message: this.message, param: ABSENT };
  }
}

/** The caller gave up. */
export class Cancelled extends ShoalError {
  readonly code = 'cancelled';
}

/** The deadline of the call has passed. */
export class DeadlineExceeded extends ShoalError {
  readonly code = 'deadline';
}

/** Two sides do not match (secret, fingerprint, version, incarnation): fix the configuration. */
export class Refused extends ShoalError {
  readonly code = 'refused';
}

/** Bytes do not match their digest or description: drop them and recompute. */
export class Corrupt extends ShoalError {
  readonly code = 'corrupt';
}

/** The request could not be computed, because of the worker or of the request: try it on one other worker. */
export class RunFailed extends ShoalError {
  readonly code = 'failed';
}

/** A bug in shoal or in a library: report it. */
export class InternalError extends ShoalError {
  readonly code = 'internal';
}

const CLASSES = {
  invalid: InvalidRequest,
  overloaded: Overloaded,
  unavailable: Unavailable,
  cancelled: Cancelled,
  deadline: DeadlineExceeded,
  refused: Refused,
  corrupt: Corrupt,
  failed: RunFailed,
  internal: InternalError,
} as const;

/** Rebuilds an error of another process, in its original class. */
export function fromWire(wire: WireError): ShoalError {
  if (wire.code === 'unavailable' && wire.param === ABSENT) return new NoSuchActor(wire.message);
  return wire.code === 'invalid' ? new InvalidRequest(wire.message, wire.param) : new CLASSES[wire.code](wire.message);
}

/** Converts any thrown value for sending. A value that is not a `ShoalError` becomes `internal` with its message. */
export function toWire(error: unknown): WireError {
  if (error instanceof ShoalError) return error.toWire();
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}
