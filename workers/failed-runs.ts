import { digestOf } from '../src/digest.js';
import { InternalError, RunFailed, ShoalError } from '../src/errors.js';
import { ENGINE_FAILURES } from '../src/limits.js';
import { OrtError } from '../src/ort/ort-error.js';

/** Turns the failure of a run into an error of its request, and detects a device that keeps failing. */

/** Receives the failures of runs. */
export interface FailureListener {
  /** The run of one request failed. Other requests continue. */
  failed(error: unknown, requestId: string): void;
  /** Runs of `ENGINE_FAILURES` prompts failed in a row, so that the device must be at fault and not a prompt. Called once per series. */
  beyond(error: OrtError): void;
}

/**
 * Isolates the failure of one request from the others: the request ends in an error, after which it can be tried on another worker. If runs of
 * `ENGINE_FAILURES` different prompts fail in ONNX Runtime, without a success in between, the worker is unusable.
 */
export class FailedRuns {
  /** The digests of the prompts whose runs failed since the last success. */
  private readonly failing = new Set<string>();

  constructor(private readonly listener: FailureListener) {}

  /** Failures that were counted: one failed batch ends many requests. */
  private readonly counted = new WeakSet<OrtError>();

  /** Passes the items on. `prompt`: the bytes of its tokens. A failure of the engine becomes RunFailed. */
  async *watch<T>(prompt: Uint8Array, items: AsyncIterable<T>, requestId = ''): AsyncGenerator<T> {
    try {
      yield* items;
      this.failing.clear();
    } catch (error) {
      const run = error instanceof ShoalError && error.cause instanceof OrtError ? error.cause : error;
      if (run instanceof OrtError) this.count(prompt, run);
      if (error instanceof ShoalError && !(error instanceof InternalError)) throw error;
      this.listener.failed(error, requestId);
      const message = error instanceof Error ? error.message : String(error);
      throw new RunFailed(`cannot run the request on this worker: ${message}`, { cause: error });
    }
  }

  private count(prompt: Uint8Array, error: OrtError): void {
    const { failing, counted } = this;
    if (counted.has(error)) return;
    counted.add(error);
    const before = failing.size;
    if (before < ENGINE_FAILURES) failing.add(digestOf(prompt));
    if (before < ENGINE_FAILURES && failing.size === ENGINE_FAILURES) this.listener.beyond(error);
  }
}
