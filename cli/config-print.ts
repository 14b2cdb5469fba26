import { type OptionSource, optionSources } from '../src/config/option-sources.js';
import { OPTIONS } from '../src/config/options.js';
import { PRINT_OPTIONS } from '../src/config/print-options.js';
import { readOptions } from '../src/config/read-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import type { CommandContext } from './context.js';

/** `shoal config print ROLE`: shows the options of a role as a file for `--config`, and where each comes from. */

const ROLES = ['up', 'coordinator', 'worker', 'node'] as const;

/** @throws WrongUsage if the role is unknown, or an option is wrong */
export async function configPrint(context: CommandContext): Promise<number> {
  const { file, json } = readOptions(PRINT_OPTIONS, 'config print', context.flags, context.environment);
  const [named = 'up'] = context.args;
  const role = ROLES.find((each) => each === named);
  if (role === undefined)
    throw new WrongUsage(`role: must be one of ${ROLES.join(', ')}, got ${JSON.stringify(named)}`);
  const { SHOAL_CONFIG: _, ...environment } = context.environment;
  const sources = optionSources(OPTIONS, role, file, environment);
  context.io.out(json ? `${JSON.stringify(Object.fromEntries(sources.map(entry)))}\n` : fileOf(role, sources));
  return 0;
}

function entry({ spec: { flag, variable }, text, from }: OptionSource): [string, object] {
  return [flag ?? variable, { value: text, from }];
}

/** Options without a value are comments, and so are secrets, which must not be in a file, and URLs whose credentials are not shown. */
function fileOf(role: string, sources: readonly OptionSource[]): string {
  const lines = sources.map(({ spec, text, from, censored }) => {
    if (spec.secret || spec.flag === null)
      return `# ${spec.variable}: ${from === 'default' ? 'not set' : `set by ${from}, not shown`}`;
    if (text === null)
      return `# ${spec.flag}: ${spec.defaultNote === undefined ? 'no default' : `default: ${spec.defaultNote}`}`;
    if (censored) return `# ${spec.flag}: ${text} # ${from}; its credentials are not shown`;
    const restart = spec.reload === 'value' ? '; read again at SIGHUP' : '';
    return `${spec.flag}: ${scalar(text)} # ${from}${restart}`;
  });
  return [
    `# The options of shoal ${role}: a variable wins over this file, and this file over the default.`,
    ...lines,
    '',
  ].join('\n');
}

/** Plain where YAML reads a plain text as this one. */
function scalar(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : JSON.stringify(text);
}
