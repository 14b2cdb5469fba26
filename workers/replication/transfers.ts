import { setMaxListeners } from 'node:events';
import { FLEET_WORKERS } from '../../src/limits.js';

/** The transfers to all homes, which a reset and the end of the worker abort together. */
export class Transfers {
  private controller = abortable();

  /** Raised when running transfers must stop. Later transfers have another signal. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  abort(): void {
    this.controller.abort();
    this.controller = abortable();
  }
}

/** Takes a listener for each worker of a fleet. */
function abortable(): AbortController {
  const controller = new AbortController();
  setMaxListeners(FLEET_WORKERS, controller.signal);
  return controller;
}
