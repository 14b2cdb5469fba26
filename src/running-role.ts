import type { ReloadedOptions } from './reload.js';

/** A coordinator, worker or node that runs in this process. */
export interface RunningRole {
  /** The role's details for its starter, such as ID and addresses, as plain data. */
  readonly ready: unknown;
  /** Time that the role may take to stop. Default: `PROCESS_STOP_MS`. */
  readonly stopMs?: number;
  /** Takes options again, and reads files again. Resolves with the faults of files that stay as they were. Without it, nothing of the role can change. */
  reload?(options: ReloadedOptions): Promise<readonly string[]>;
  /** Stops the role in good order. Called once. */
  stop(): Promise<void>;
}
