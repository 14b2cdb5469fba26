/**
 * Errors, one class for each decision that a caller can take. They cross process borders as `{ code, message, param }`
 * and come back as the same class.
 */

export type ErrorCode =
  | 'invalid'
  | 'overloaded'
  | 'unavailable'
  | 'cancelled'
  | 'deadline'
  | 'refused'
  | 'corrupt'
  | 'internal';

/** What of an error is sent to another process. Stacks and causes stay at home. */
export interface WireError {
  code: ErrorCode;
  message: string;
  /** Field of the request that is wrong, for `invalid`. */
  param?: string | undefined;
}

export abstract class ShoalError extends Error {
  abstract readonly code: ErrorCode;
  override get name(): string {
    return this.constructor.name;
  }
  toWire(): WireError {
    return { code: this.code, message: this.message };
  }
}

/** The request is wrong: change it. Trying again as it is gives the same answer. */
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

/** A queue is full: wait, then try again, here or elsewhere. */
export class Overloaded extends ShoalError {
  readonly code = 'overloaded';
}

/** The one asked is gone or not ready: try another now. */
export class Unavailable extends ShoalError {
  readonly code = 'unavailable';
}

/** The caller itself gave up. */
export class Cancelled extends ShoalError {
  readonly code = 'cancelled';
}

/** The deadline of the call passed. */
export class DeadlineExceeded extends ShoalError {
  readonly code = 'deadline';
}

/** Two sides do not fit (secret, fingerprint, version, incarnation): fix the configuration. */
export class Refused extends ShoalError {
  readonly code = 'refused';
}

/** Bytes are not what they were said to be: drop them, compute again. */
export class Corrupt extends ShoalError {
  readonly code = 'corrupt';
}

/** A mistake of ours, or of a library: report it. */
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
  internal: InternalError,
} as const;

/** The error of the other side, as the class it was there. */
export function fromWire(wire: WireError): ShoalError {
  return wire.code === 'invalid' ? new InvalidRequest(wire.message, wire.param) : new CLASSES[wire.code](wire.message);
}

/** Any thrown value as one that can be sent. What is not ours becomes `internal` with its message. */
export function toWire(error: unknown): WireError {
  if (error instanceof ShoalError) return error.toWire();
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}
