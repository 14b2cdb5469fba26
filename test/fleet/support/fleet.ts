import { fileURLToPath } from 'node:url';
import { UpFleet } from '../../../bench/fleet/up-fleet.js';

export const CLI = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

/** A real fleet for tests, run by `shoal up`. */
export type Fleet = UpFleet;
export const Fleet = {
  up: (args: readonly string[] = [], env: Record<string, string> = {}): Promise<Fleet> => UpFleet.start(CLI, args, env),
};
