import { z } from 'zod';
import { JSON_SCHEMA } from '../../coordinator/openai/fields.js';
import type { Parameter, ParameterTable } from '../../coordinator/openai/parameters/parameter.js';

/** Renders the tables of parameters for docs/API.md. */

interface ValueSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly items?: ValueSchema;
  readonly anyOf?: readonly ValueSchema[];
}

/** The parameters of one endpoint: those that have an effect, then one row for each that is refused. */
export function parametersMarkdown(table: ParameterTable): string {
  const entries = Object.entries(table);
  const rows = entries
    .filter(([, { use }]) => use !== 'refused')
    .map(([name, parameter]) => acceptedRow(name, parameter));
  const refused = entries.flatMap(([name, parameter]) =>
    parameter.use === 'refused' ? [refusedRow(name, parameter)] : [],
  );
  return [
    '| parameter | values | meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
    '| refused with 400 | except | what to do |',
    '| --- | --- | --- |',
    ...refused,
  ].join('\n');
}

function acceptedRow(name: string, { use, values, ...parameter }: Parameter): string {
  const meaning = 'meaning' in parameter ? parameter.meaning : '';
  return row([`\`${name}\``, valuesOf(values), use === 'inert' ? `Accepted without effect. ${meaning}` : meaning]);
}

function refusedRow(name: string, { neutral, instead }: Extract<Parameter, { use: 'refused' }>): string {
  return row([`\`${name}\``, neutral.map((value) => `\`${JSON.stringify(value)}\``).join(', '), instead]);
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function valuesOf(values: z.ZodType): string {
  return describe(z.toJSONSchema(values, JSON_SCHEMA) as ValueSchema);
}

function describe(schema: ValueSchema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(describe))].join(' or ');
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.type === 'array') {
    const items = schema.items === undefined ? '' : describe(schema.items);
    return items === '' ? 'list' : `list of ${items}`;
  }
  return [schema.type ?? '', rangeOf(schema)].filter((part) => part !== '').join(' ');
}

function rangeOf({ type, minimum, exclusiveMinimum, maximum }: ValueSchema): string {
  if (type !== 'number' && type !== 'integer') return '';
  const least = exclusiveMinimum ?? minimum;
  const low = least === undefined || least < Number.MIN_SAFE_INTEGER ? '' : String(least);
  const most = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? '' : String(maximum);
  if (exclusiveMinimum !== undefined) return `over ${low}, up to ${most}`;
  if (low === '') return '';
  return most === '' ? `from ${low}` : `${low} to ${most}`;
}
