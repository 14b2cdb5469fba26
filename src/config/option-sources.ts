import { withConfigFile } from './config-file.js';
import type { Command, OptionSpec, OptionTable } from './option.js';
import { type EnvironmentVariables, readOptions } from './read-options.js';

/** Where the value of each option of a command comes from. */

export interface OptionSource {
  readonly spec: OptionSpec;
  /** As a user would write it; null for a secret, and where there is no value. */
  readonly text: string | null;
  readonly from: 'variable' | 'file' | 'default';
}

/**
 * The options of a command, in the order of the table.
 * @throws WrongUsage if the file or a value is wrong
 */
export function optionSources(
  table: OptionTable,
  command: Command,
  path: string | null,
  environment: EnvironmentVariables,
): OptionSource[] {
  const inFile = path === null ? {} : withConfigFile(path, table, {});
  readOptions(table, command, {}, { ...inFile, ...given(environment) });
  return Object.values(table)
    .filter(({ commands, flag }) => commands.includes(command) && flag !== 'config')
    .map((spec) => {
      const shown = (text: string | null | undefined) => (spec.secret ? null : (text ?? null));
      const variable = given(environment)[spec.variable];
      if (variable !== undefined) return { spec, text: shown(variable), from: 'variable' };
      const written = inFile[spec.variable];
      if (written !== undefined) return { spec, text: shown(written), from: 'file' };
      return { spec, text: spec.default, from: 'default' };
    });
}

/** Compose files and shells pass an unset variable as an empty one. */
function given(environment: EnvironmentVariables): EnvironmentVariables {
  return Object.fromEntries(Object.entries(environment).filter(([, text]) => text !== undefined && text.trim() !== ''));
}
