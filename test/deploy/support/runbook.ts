import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLI } from '../../fleet/support/fleet.js';
import { ROOT, ran } from './programs.js';

/** The commands of the alerts' pages. */

/** Exit codes of a command that says what is wrong; curl has 7 for a connection that is refused, 28 for no answer in time. */
const SAID = [0, 1, 7, 28];
/** What curl says of a status such as 401: the command is wrong, not the fleet. */
const REFUSED = /curl: \(22\)/;
const PROMPT = 'the beginning of a prompt that everybody sends';

/** What the commands of a page take the place of. */
export interface Places {
  readonly coordinator: string;
  readonly worker: string;
  /** Of an operator, where the fleet has keys. */
  readonly apiKey?: string;
  readonly prompt?: string;
}

/**
 * Runs the commands below the heading Look of an alert's page.
 * @returns what they print
 * @throws Error with that, if they end otherwise than by saying something
 */
export async function look(alert: string, { coordinator, worker, apiKey, prompt = PROMPT }: Places): Promise<string> {
  const page = readFileSync(join(ROOT, `docs/runbooks/${alert}.md`), 'utf8');
  const commands = /## Look\n\n[^`]*```sh\n([\s\S]*?)```/.exec(page)![1]!.replaceAll(`'${PROMPT}'`, '"$PROMPT"');
  const script = `shoal() { node ${JSON.stringify(CLI)} "$@"; }\n${commands}`;
  const { SHOAL_API_KEY: _, ...inherited } = process.env;
  const keys = apiKey === undefined ? {} : { SHOAL_API_KEY: apiKey };
  const environment = { ...inherited, ...keys, SHOAL_URL: coordinator, WORKER_URL: worker, PROMPT: prompt };
  const { code, out, err } = await ran('bash', ['-c', script], environment);
  if (!SAID.includes(code) || REFUSED.test(err)) throw new Error(`${alert}: exit code ${code}: ${out}${err}`);
  return out + err;
}
