import { InternalError, ShoalError, Unavailable } from '../src/errors.js';
import { ENGINE_FAILURES } from '../src/limits.js';
import { OrtError } from '../src/ort/ort-error.js';

/** Turns the failure of a run into an error of its request, and detects a device that keeps failing. */

/** Receives the failures of runs. */
export interface FailureListener {
  /** The run of one request failed. Other requests continue. */
  failed(error: unknown): void;
  /** `ENGINE_FAILURES` runs failed in a row, so that the device must be at fault and not a request. Called once per series. */
  beyond(error: OrtError): void;
}

/**
 * Isolates the failure of one request from the others: the request ends in an error, after which it can be retried on another worker. If
 * `ENGINE_FAILURES` requests in a row fail in ONNX Runtime, without a success in between, the worker is unusable.
 */
export class FailedRuns {
  private inARow = 0;

  constructor(private readonly listener: FailureListener) {}

  /** Passes the items on. A failure of the engine becomes Unavailable. */
  async *watch<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* items;
      this.inARow = 0;
    } catch (error) {
      if (error instanceof ShoalError && !(error instanceof InternalError)) throw error;
      this.listener.failed(error);
      if (error instanceof OrtError && ++this.inARow === ENGINE_FAILURES) this.listener.beyond(error);
      const message = error instanceof Error ? error.message : String(error);
      throw new Unavailable(`cannot run the request on this worker: ${message}`, { cause: error });
    }
  }
}
