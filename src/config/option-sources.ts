import { withConfigFile } from './config-file.js';
import type { Command, OptionSpec, OptionTable } from './option.js';
import { type EnvironmentVariables, readOptions } from './read-options.js';
import { shownValue } from './shown-value.js';

/** Where the value of each option of a command comes from. */

export interface OptionSource {
  readonly spec: OptionSpec;
  /** As a user would write it, without credentials; null for a secret, and where there is no value. */
  readonly text: string | null;
  /** Whether the text lacks the credentials of a URL. */
  readonly censored: boolean;
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
      const variable = given(environment)[spec.variable];
      if (variable !== undefined) return { spec, ...shown(spec, variable), from: 'variable' };
      const written = inFile[spec.variable];
      if (written !== undefined) return { spec, ...shown(spec, written), from: 'file' };
      return { spec, text: spec.default, censored: false, from: 'default' };
    });
}

function shown(spec: OptionSpec, text: string): Pick<OptionSource, 'text' | 'censored'> {
  const bare = shownValue(spec, text);
  return { text: bare, censored: bare !== null && bare !== text };
}

/** Compose files and shells pass an unset variable as an empty one. */
function given(environment: EnvironmentVariables): EnvironmentVariables {
  return Object.fromEntries(Object.entries(environment).filter(([, text]) => text !== undefined && text.trim() !== ''));
}
