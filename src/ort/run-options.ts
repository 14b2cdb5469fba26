import type { Pointer } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { Environment } from './environment.js';
import type { OrtRuntime } from './runtime.js';

/** What runs can be stopped by. One may serve many runs, one after the other or at once. */
export class RunOptions extends Handle {
  private readonly environment: Environment;
  private _terminated = false;

  constructor(runtime: OrtRuntime) {
    const { environment } = runtime;
    const { calls } = environment;
    super('runOptions', calls.take(calls.api.createRunOptions(calls.out), 'making run options'));
    this.environment = environment;
    environment.hold();
  }

  get terminated(): boolean {
    return this._terminated;
  }

  /** Stops the runs that use it, between two nodes of the graph, and refuses new ones until `reset`. They reject with `Cancelled`. */
  terminate(): void {
    this.environment.calls.check(this.environment.calls.api.runOptionsSetTerminate(this.pointer), 'stopping a run');
    this._terminated = true;
  }

  /** Allows runs again. Only when none that was stopped is still on its way. */
  reset(): void {
    this.environment.calls.check(this.environment.calls.api.runOptionsUnsetTerminate(this.pointer), 'allowing runs');
    this._terminated = false;
  }

  protected override free(pointer: Pointer): void {
    this.environment.calls.api.releaseRunOptions(pointer);
    this.environment.drop();
  }
}
