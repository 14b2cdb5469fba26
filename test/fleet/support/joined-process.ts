import { FleetProcess } from '../../../bench/fleet/fleet-process.js';
import { CLI } from './fleet.js';

/** A role of shoal in its own process, started by its own command, as on another machine. */
export class JoinedProcess extends FleetProcess {
  constructor(args: readonly string[], env: Record<string, string>) {
    super([process.execPath, CLI, ...args], env);
  }
}
