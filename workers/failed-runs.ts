import { InternalError, ShoalError, Unavailable } from '../src/errors.js';
import { ENGINE_FAILURES } from '../src/limits.js';
import { OrtError } from '../src/ort/ort-error.js';

/** Keeps what fails in one request from ending others, and tells when it is the device's fault. */

/** What others want to know of runs that fail. */
export interface FailureListener {
  /** A request ended because its run failed; others go on. */
  failed(error: unknown): void;
  /** So many runs failed one after another that the device, and not a request, must be at fault. Called once. */
  beyond(error: OrtError): void;
}

/**
 * Keeps what fails in one request from ending others: it is an error of that request, which may be tried elsewhere. Only when ONNX Runtime fails
 * again and again, with no request in between that goes well, is the worker of no use any more.
 */
export class FailedRuns {
  private inARow = 0;

  constructor(private readonly listener: FailureListener) {}

  /** The same items; what the engine could not help comes as Unavailable. */
  async *watch<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* items;
      this.inARow = 0;
    } catch (error) {
      if (error instanceof ShoalError && !(error instanceof InternalError)) throw error;
      this.listener.failed(error);
      if (error instanceof OrtError && ++this.inARow === ENGINE_FAILURES) this.listener.beyond(error);
      const message = error instanceof Error ? error.message : String(error);
      throw new Unavailable(`this worker could not run the request: ${message}`, { cause: error });
    }
  }
}
