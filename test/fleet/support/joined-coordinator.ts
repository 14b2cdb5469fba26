import { FleetApi } from '../../../bench/fleet/fleet-api.js';
import { JoinedProcess } from './joined-process.js';

/** A coordinator in its own process that joins a fleet, as from another machine. */
export class JoinedCoordinator extends FleetApi {
  private constructor(
    url: string,
    readonly process: JoinedProcess,
    apiKey: string | null,
  ) {
    super(url, apiKey);
  }

  /** Starts it on a free port, and waits until it listens. Calls it with its API key, if the environment gives it one. */
  static async start(id: string, env: Record<string, string>): Promise<JoinedCoordinator> {
    const process = new JoinedProcess(['coordinator', '--port', '0', '--coordinator-id', id], env);
    const { url } = JSON.parse(await process.logged('"listening"')) as { url: string };
    return new JoinedCoordinator(url, process, env.SHOAL_API_KEYS ?? null);
  }

  stop(): Promise<number | NodeJS.Signals | null> {
    return this.process.stop();
  }
}
