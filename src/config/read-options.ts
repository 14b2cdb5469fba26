import { type Command, flagKey, type OptionSpec, type OptionTable, type OptionValues } from './option.js';
import { shownValue } from './shown-value.js';
import { WrongUsage } from './wrong-usage.js';

/** Reads the options of a command from flags and variables, and passes them on to child processes. */

/** Flags from the command line, by name in camel case. A switch is `true`, and a flag with several values an array. */
export type Flags = Readonly<Record<string, unknown>>;
export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;

/** The text of an option, and the flag or variable that gave it. */
interface Given {
  readonly name: string;
  readonly text: string;
}

/** What gives an option; null if neither flag nor variable does, or if the flag of a file that has the value stands in for its variable. */
function given(table: OptionTable, spec: OptionSpec, flags: Flags, environment: EnvironmentVariables): Given | null {
  const flag = givenByFlag(spec, flags);
  if (flag !== null) return flag;
  const isInFile = Object.values(table).some((file) => file.fileOf === spec.variable && givenByFlag(file, flags));
  if (isInFile) return null;
  const text = environment[spec.variable];
  // Compose files and shells pass an unset variable as an empty one.
  return text === undefined || text.trim() === '' ? null : { name: spec.variable, text };
}

function givenByFlag(spec: OptionSpec, flags: Flags): Given | null {
  const flag = spec.flag === null ? undefined : flags[flagKey(spec.flag)];
  const name = `--${spec.flag}`;
  if (flag === true) return { name, text: 'on' };
  if (typeof flag === 'string') return { name, text: flag };
  // A flag with several values.
  return Array.isArray(flag) ? { name, text: flag.join(',') } : null;
}

function parse(spec: OptionSpec, name: string, text: string): unknown {
  const result = spec.type.check.safeParse(text);
  if (result.success) return result.data;
  const shown = shownValue(spec, text);
  const got = shown === null ? '' : `, got ${JSON.stringify(shown.slice(0, 200))}`;
  throw new WrongUsage(`${name}: ${result.error.issues[0]!.message}${got}`);
}

/**
 * Reads the options of one command. A flag wins over its variable, and the variable over the default. Options of other commands are
 * null or their default.
 * @throws WrongUsage with the flag or variable, and the allowed values
 */
export function readOptions<Table extends OptionTable>(
  table: Table,
  command: Command,
  flags: Flags,
  environment: EnvironmentVariables,
): OptionValues<Table> {
  const values = Object.entries(table).map(([key, spec]) => {
    const source = spec.commands.includes(command) ? given(table, spec, flags, environment) : null;
    if (source) return [key, parse(spec, source.name, source.text)];
    return [key, spec.default === null ? null : parse(spec, spec.variable, spec.default)];
  });
  return Object.freeze(Object.fromEntries(values)) as OptionValues<Table>;
}

/** The options given to `command` that `child` also has, as variables. */
export function inheritedVariables(
  table: OptionTable,
  command: Command,
  child: Command,
  flags: Flags,
  environment: EnvironmentVariables,
): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const spec of Object.values(table)) {
    if (!spec.commands.includes(command) || !spec.commands.includes(child)) continue;
    const source = given(table, spec, flags, environment);
    if (source) inherited[spec.variable] = source.text;
  }
  return inherited;
}

/** The environment without the options of the table, so that a child sees only the options passed on purpose. */
export function withoutOptions(table: OptionTable, environment: EnvironmentVariables): Record<string, string> {
  const variables = new Set(Object.values(table).map((spec) => spec.variable));
  const kept = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !variables.has(entry[0]),
  );
  return Object.fromEntries(kept);
}
