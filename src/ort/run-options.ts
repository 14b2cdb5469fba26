import type { Pointer } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { Environment } from './environment.js';
import type { OrtRuntime } from './runtime.js';

/** Stops runs from outside. One `RunOptions` may serve many runs, sequential or concurrent. */
export class RunOptions extends Handle {
  private readonly environment: Environment;
  private _terminated = false;

  constructor(runtime: OrtRuntime) {
    const { environment } = runtime;
    const { calls } = environment;
    super('runOptions', calls.result(calls.api.createRunOptions(calls.out), 'create run options'));
    this.environment = environment;
    environment.addReference();
  }

  get terminated(): boolean {
    return this._terminated;
  }

  /** Stops the runs that use these options at the next node of the graph, and new ones until `reset`. They reject with `Cancelled`. */
  terminate(): void {
    this.environment.calls.check(this.environment.calls.api.runOptionsSetTerminate(this.pointer), 'stop a run');
    this._terminated = true;
  }

  /** Allows runs again. Call only after every stopped run has ended. */
  reset(): void {
    this.environment.calls.check(this.environment.calls.api.runOptionsUnsetTerminate(this.pointer), 'allow runs again');
    this._terminated = false;
  }

  protected override free(pointer: Pointer): void {
    this.environment.calls.api.releaseRunOptions(pointer);
    this.environment.dropReference();
  }
}
