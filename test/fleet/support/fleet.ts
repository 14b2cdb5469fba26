import { fileURLToPath } from 'node:url';
import { RunningFleet, type UpReady } from '../../../bench/running-fleet.js';
import { FleetApi } from './fleet-api.js';

export const CLI = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

/** A real fleet for tests, run by `shoal up`. */
export class Fleet extends FleetApi {
  private constructor(private readonly running: RunningFleet) {
    super(running.url);
  }

  static async up(args: readonly string[] = [], env: Record<string, string> = {}): Promise<Fleet> {
    return new Fleet(await RunningFleet.up(CLI, args, env));
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
