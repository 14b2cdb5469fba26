import { InvalidRequest, Unavailable } from '../errors.js';

/** Errors of the runtime, one class for each decision that a caller can take. */

/**
 * The actor is gone for good, or its node was lost during the call. `mayHaveRun` says whether the call may have taken effect: if not, it can
 * be repeated without harm.
 */
export class ActorDied extends Unavailable {
  constructor(
    message: string,
    readonly mayHaveRun: boolean,
  ) {
    super(message);
  }
}

/** The node of a task was lost, and no retries are left. `mayHaveRun` says whether the task may have taken effect. */
export class TaskLost extends Unavailable {
  constructor(
    message: string,
    readonly mayHaveRun: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** No copy of the object is left, or its owner is gone: compute it again. */
export class ObjectLost extends Unavailable {}

/** The call would wait for itself: raise `maxConcurrency` of the actor, or do not wait for the answer. */
export class CallCircle extends InvalidRequest {}

/** An error that user code threw in another process, of a class that this process does not know. `name` is the class's name. */
export class RemoteError extends Error {
  constructor(
    message: string,
    override readonly name: string,
  ) {
    super(message);
  }
}
