import { RunningFleet, type UpReady } from '../running-fleet.js';
import { FleetApi } from './fleet-api.js';

/** A real fleet on this machine, run by `shoal up`, with its HTTP API. */
export class UpFleet extends FleetApi {
  private constructor(private readonly running: RunningFleet) {
    super(running.url);
  }

  /** Starts the fleet on a free port. @param cli the path of the built command */
  static async start(cli: string, args: readonly string[] = [], env: Record<string, string> = {}): Promise<UpFleet> {
    return new UpFleet(await RunningFleet.up(cli, args, env));
  }

  get ready(): UpReady {
    return this.running.ready;
  }

  get log(): string {
    return this.running.log;
  }

  stop(signal?: NodeJS.Signals): Promise<number | null> {
    return this.running.stop(signal);
  }
}
