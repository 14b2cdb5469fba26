import type { z } from 'zod';
import type { CallableTool } from '../../src/core/constraint/tool-calls.js';
import { InvalidRequest } from '../../src/errors.js';
import { REASONING_MARKS } from '../../src/model/reasoning-format.js';
import { toolFormatOf } from '../../src/model/tool-format.js';
import { type NamedConstraint, SCHEMA_CHARS } from './constraint-fields.js';
import type { CallReaderOptions } from './message/call-reader.js';
import type { MessageFormat } from './message/message-format.js';
import { toolFormatInText } from './message/tool-format-in-text.js';
import type { ToolChoice, Tools } from './messages.js';

/** The fields of a chat about tools. */
export interface ToolFields {
  readonly tools?: z.infer<typeof Tools> | undefined;
  readonly tool_choice?: z.infer<typeof ToolChoice> | undefined;
  readonly parallel_tool_calls?: boolean | undefined;
  /** The fields that name the tool, and the allowed tools, of `tool_choice`. Default: those of chats. */
  readonly choiceParams?: { readonly name: string; readonly allowed: string };
  /** The field of a tool that has the schema of its arguments. Default: parameters. */
  readonly schemaField?: string;
}

interface OfferedTool extends CallableTool {
  /** Whether its arguments must satisfy the schema wherever it is called. */
  readonly strict: boolean;
}

/** Whether the model may or must call the tools of a request. */
export interface ToolUse {
  readonly type: 'none' | 'auto' | 'enforced';
  /** Those that it may call. */
  readonly tools: readonly OfferedTool[];
  /** Whether the prompt has other tools too, which it may not call. */
  readonly hasOthers: boolean;
  readonly most: 'one' | 'many';
}

const CHAT_CHOICE = { name: 'tool_choice.function.name', allowed: 'tool_choice.allowed_tools.tools' };

/** @throws InvalidRequest for a choice that does not fit the tools, and for two tools of one name */
export function toolUseOf(fields: ToolFields): ToolUse {
  const { tools = [], tool_choice: choice, parallel_tool_calls: parallel } = fields;
  const all = tools.map(({ function: { name, parameters, strict } }) => ({
    name,
    schema: parameters ?? NO_PARAMETERS,
    strict: strict ?? false,
    ...(fields.schemaField ? { schemaField: fields.schemaField } : {}),
  }));
  checkNames(all);
  const most = parallel === false ? 'one' : 'many';
  if (choice === 'none' || (all.length === 0 && (choice === undefined || choice === 'auto')))
    return { type: 'none', tools: [], hasOthers: false, most };
  if (choice === undefined || choice === 'auto') return { type: 'auto', tools: all, hasOthers: false, most };
  if (all.length === 0) throw new InvalidRequest('tool_choice: needs tools; the request has none', 'tool_choice');
  if (choice === 'required') return { type: 'enforced', tools: all, hasOthers: false, most };
  const params = fields.choiceParams ?? CHAT_CHOICE;
  const picked = (names: readonly string[], param: string) => {
    const chosen = all.filter(({ name }) => names.includes(name));
    return { tools: named(chosen, names, param), hasOthers: chosen.length < all.length };
  };
  if (choice.type === 'function')
    return { type: 'enforced', ...picked([choice.function.name], params.name), most: 'one' };
  const { mode, tools: allowed } = choice.allowed_tools;
  const names = allowed.map((tool) => tool.function.name);
  return { type: mode === 'auto' ? 'auto' : 'enforced', ...picked(names, params.allowed), most };
}

/** The tools, if they have all the names. */
function named(tools: readonly OfferedTool[], names: readonly string[], param: string): readonly OfferedTool[] {
  const unknown = names.find((name) => !tools.some((tool) => tool.name === name));
  if (unknown === undefined) return tools;
  throw new InvalidRequest(`${param}: no tool '${unknown}'; must be the name of one of the tools`, param);
}

function checkNames(tools: readonly OfferedTool[]): void {
  const names = new Set<string>();
  for (const { name } of tools) {
    if (names.has(name))
      throw new InvalidRequest(`tools: two have the name '${name}'; give each a name of its own`, 'tools');
    names.add(name);
  }
}

const NO_PARAMETERS = { type: 'object', properties: {} };

/** The constraint on an answer that must call tools; null if it may be any text. Models without a known form of calls write them as Llama does. */
export function toolConstraint(
  { type, tools, most }: ToolUse,
  { tools: format, marks }: MessageFormat,
): NamedConstraint | null {
  if (type !== 'enforced') return null;
  checkSize(tools);
  const { form, syntax } = format ?? UNKNOWN_FORMAT;
  // A message of gpt-oss is one call, with which its answer ends.
  const count = syntax.type === 'harmony' ? 'one' : most;
  return { constraint: { type: 'calls', form, specials: [...marks.values()], tools, most: count }, param: 'tools' };
}

/** In which models without a known form of calls write them. */
const UNKNOWN_FORMAT = toolFormatOf('llama3_json', null);

/**
 * The constraint on the calls of an answer that may call tools: they call allowed ones, and calls of strict tools satisfy their schemas. Null if the answer may be any text, also
 * where a call begins with no mark that distinguishes it from text, or where all of an answer has a form of its own.
 */
export function strictCalls({ type, tools, hasOthers, most }: ToolUse, format: MessageFormat): NamedConstraint | null {
  if (type !== 'auto' || format.tools === null) return null;
  if (!hasOthers && !tools.some(({ strict }) => strict)) return null;
  const { form, marks, bare } = format.tools;
  const mark = marks.find((text) => (form.before + form.open).startsWith(text));
  if (mark === undefined || bare) return null;
  checkSize(tools);
  const callable = tools.map(({ schema, strict, ...tool }) => ({ ...tool, schema: strict ? schema : ANY_OBJECT }));
  const specials = [...format.marks.values()];
  const thoughts = Object.values((format.reasoning && REASONING_MARKS[format.reasoning]) ?? {});
  const passing = specials.filter((text) => thoughts.some((part) => part.includes(text)));
  const calls = { type: 'calls', form, specials, tools: callable, most, mark, passing } as const;
  return { constraint: calls, param: 'tools' };
}

const ANY_OBJECT = { type: 'object' };

function checkSize(tools: readonly OfferedTool[]): void {
  const chars = JSON.stringify(tools).length;
  if (chars <= SCHEMA_CHARS) return;
  throw new InvalidRequest(
    `tools: must have at most ${SCHEMA_CHARS} characters if one must be called, or is strict, got ${chars}`,
    'tools',
  );
}

/** How the calls of an answer are read; null if calls cannot be distinguished from text. */
export function callReading(
  { type, tools, most }: ToolUse,
  { tools: format, marks }: MessageFormat,
  randomBytes: (bytes: number) => Uint8Array,
): CallReaderOptions | null {
  if (type === 'none' || (format === null && type === 'auto')) return null;
  const known = format ?? UNKNOWN_FORMAT;
  const { prefix, chars } = known.idForm;
  return {
    format: toolFormatInText(known, [...marks.values()]),
    enforced: type === 'enforced',
    most,
    names: new Set(tools.map(({ name }) => name)),
    newId: () =>
      prefix +
      Buffer.from(randomBytes(Math.ceil(chars / 2)))
        .toString('hex')
        .slice(0, chars),
  };
}
