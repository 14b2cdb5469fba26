import { readFileSync } from 'node:fs';
import type { OptionTable } from './option.js';
import type { EnvironmentVariables } from './read-options.js';
import { shownValue } from './shown-value.js';
import { WrongUsage } from './wrong-usage.js';
import { readYaml } from './yaml.js';

/** Reads options from a file, for commands with `--config`. */

/** Limit on the size of a file. */
const FILE_BYTES = 2 ** 20;

/**
 * The environment with the options of a file as variables, where no variable is set. So a flag wins over a variable, a variable over the file, and
 * the file over the default.
 * @throws WrongUsage with the file, the line and the option
 */
export function withConfigFile(
  path: string,
  table: OptionTable,
  environment: EnvironmentVariables,
): EnvironmentVariables {
  return { ...readConfigFile(path, table), ...set(environment) };
}

/** The options of the file by their variables. @throws WrongUsage with the file, the line and the option */
export function readConfigFile(path: string, table: OptionTable): Record<string, string> {
  return fileVariables(readFile(path), path, table);
}

/** Compose files and shells pass an unset variable as an empty one. */
function set(environment: EnvironmentVariables): EnvironmentVariables {
  return Object.fromEntries(Object.entries(environment).filter(([, text]) => text !== undefined && text.trim() !== ''));
}

function readFile(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WrongUsage(`--config (SHOAL_CONFIG): cannot read ${path}: ${why}`);
  }
  if (bytes.byteLength <= FILE_BYTES) return bytes.toString();
  throw new WrongUsage(
    `--config (SHOAL_CONFIG): ${path} must have at most ${FILE_BYTES} bytes, got ${bytes.byteLength}`,
  );
}

/**
 * The options of a file by their variables. A file is a mapping from the names of flags, without dashes before them, to values. It may have the
 * options of all commands of the table: a fleet needs one file. @throws WrongUsage @internal exported for tests.
 */
export function fileVariables(text: string, path: string, table: OptionTable): Record<string, string> {
  const document = readYaml(text);
  if (!document.ok) throw new WrongUsage(`${path}:${document.line}:${document.column}: ${document.message}`);
  const { value: options } = document;
  if (options === null) return {};
  if (typeof options !== 'object' || Array.isArray(options)) {
    throw new WrongUsage(`${path}: must be a mapping from names of options to values, such as "workers: 3"`);
  }
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) {
    const where = `${path}:${document.fieldAt([name]).line}`;
    const spec = Object.values(table).find(({ flag }) => flag === name);
    if (spec === undefined || name === 'config') throw new WrongUsage(`${where}: ${unknown(name, table)}`);
    if (value === null) continue;
    const written = textOf(value);
    if (written === null) throw new WrongUsage(`${where}: ${name}: must be ${spec.type.allowed}, got a mapping`);
    const checked = spec.type.check.safeParse(written);
    if (!checked.success) {
      const shown = shownValue(spec, written);
      const got = shown === null ? '' : `, got ${JSON.stringify(shown.slice(0, 200))}`;
      throw new WrongUsage(`${where}: ${name}: ${checked.error.issues[0]!.message}${got}`);
    }
    variables[spec.variable] = written;
  }
  return variables;
}

/** A value as it would be given to a flag; null if it is none. */
function textOf(value: unknown): string | null {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  if (!Array.isArray(value)) return null;
  const texts = value.map(textOf);
  return texts.includes(null) ? null : texts.join(',');
}

function unknown(name: string, table: OptionTable): string {
  const secret = Object.values(table).find(
    ({ flag, variable }) => flag === null && variable === `SHOAL_${name.toUpperCase().replaceAll('-', '_')}`,
  );
  if (secret !== undefined) return `${name}: is a secret, which must not be in this file; set ${secret.variable}`;
  return `${name.slice(0, 64)}: is not an option; docs/OPTIONS.md lists them`;
}
