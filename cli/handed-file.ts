import { resolve } from 'node:path';
import { z } from 'zod';
import { readConfigFile } from '../src/config/config-file.js';
import { flagKey, type OptionTable } from '../src/config/option.js';
import type { EnvironmentVariables, Flags } from '../src/config/read-options.js';
import { UP_LOG_LEVEL } from '../src/config/up-config.js';

/** The options file of `shoal up`, for its children. They get its values as variables, and read it themselves at SIGHUP. */

const VARIABLE = 'SHOAL_UP_CONFIG';

/** The values without the file, where `shoal up` has another default than its children. */
const DEFAULTS: Readonly<Record<string, string>> = { SHOAL_LOG_LEVEL: UP_LOG_LEVEL };

const handed = z.object({
  path: z.string(),
  /** The variables that the file decides, because `shoal up` has neither a flag nor a variable for them. */
  variables: z.array(z.string()),
});

/** A variable that names the file to the children. `environment` is that of `shoal up` without the file. */
export function handedFile(
  path: string,
  table: OptionTable,
  flags: Flags,
  environment: EnvironmentVariables,
): Record<string, string> {
  const given = ({ flag, variable }: OptionTable[string]) =>
    (flag !== null && flags[flagKey(flag)] !== undefined) || Boolean(environment[variable]?.trim());
  const variables = Object.values(table)
    .filter((spec) => !given(spec))
    .map(({ variable }) => variable);
  return { [VARIABLE]: JSON.stringify({ path: resolve(path), variables }) };
}

/** Gives a child its environment as the options file of `shoal up` now has it; null if there is no such file. */
export function handedEnvironment(
  table: OptionTable,
  environment: EnvironmentVariables,
): (() => EnvironmentVariables) | null {
  const text = environment[VARIABLE];
  if (text === undefined) return null;
  const { path, variables } = handed.parse(JSON.parse(text));
  const first = readNow(path, table);
  const specs = Object.values(table).filter(({ variable }) => variables.includes(variable));
  return () => {
    const now = readConfigFile(path, table);
    // `shoal up` computes some values from those of the file, so a value that stayed the same in the file is not taken again.
    const taken = specs
      .filter(({ variable, reload }) => reload === 'value' || now[variable] !== first[variable])
      .map(({ variable }) => [variable, now[variable] ?? DEFAULTS[variable]]);
    return { ...environment, ...Object.fromEntries(taken) };
  };
}

/** A file that has become wrong since `shoal up` read it does not keep a child from starting again. */
function readNow(path: string, table: OptionTable): EnvironmentVariables {
  try {
    return readConfigFile(path, table);
  } catch {
    return {};
  }
}
