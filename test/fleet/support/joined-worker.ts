import { JoinedProcess } from './joined-process.js';

/** A worker in its own process that joins a fleet, as from another machine. */
export class JoinedWorker extends JoinedProcess {
  constructor(
    readonly id: string,
    args: readonly string[],
    env: Record<string, string>,
  ) {
    super(['worker', '--worker-id', id, ...args], env);
  }
}
