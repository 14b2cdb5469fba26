import { CLI } from './fleet.js';
import { FleetProcess } from './fleet-process.js';

/** A worker in its own process that joins a fleet, as from another machine. */
export class JoinedWorker extends FleetProcess {
  constructor(
    readonly id: string,
    args: readonly string[],
    env: Record<string, string>,
  ) {
    super([process.execPath, CLI, 'worker', '--worker-id', id, ...args], env);
  }
}
