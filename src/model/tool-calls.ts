import { z } from 'zod';
import { fromJsonText } from './jinja/json-text.js';
import { Float } from './jinja/values.js';

/** Prepares the tools and tool calls of a conversation for a chat template. */

const ToolCall = z.looseObject({ function: z.looseObject({ arguments: z.unknown().optional() }) });

const NamedCall = z.looseObject({ id: z.string(), function: z.looseObject({ name: z.string() }) });

/** The names of the tools that were called, by the ids of the calls. */
export function toolNames(calls: readonly unknown[]): ReadonlyMap<string, string> {
  const parsed = calls.map((call) => NamedCall.safeParse(call)).filter(({ success }) => success);
  return new Map(parsed.map(({ data }) => [data!.id, data!.function.name]));
}

/** What a template sees as the arguments of a call; the API has them as JSON text. */
export type ArgumentsForm = 'object' | 'text';

/**
 * A tool call with its arguments in a form: as an object, as most templates expect, or as JSON text. No arguments are an empty object. Arguments that are not
 * an object stay a string: models make mistakes.
 */
export function withArguments(call: unknown, form: ArgumentsForm): unknown {
  if (!isToolCall(call)) return call;
  const { function: called } = call;
  const given = called.arguments === undefined || called.arguments === '' ? {} : called.arguments;
  const own = form === 'object' ? parsedObject(given) : typeof given === 'string' ? given : JSON.stringify(given);
  return { ...call, function: { ...called, arguments: own } };
}

/** Not the checked copy, whose fields are in another order: templates print the call as the client wrote it. */
function isToolCall(call: unknown): call is z.infer<typeof ToolCall> {
  return ToolCall.safeParse(call).success;
}

function parsedObject(json: unknown): unknown {
  if (typeof json !== 'string') return json;
  try {
    const value = fromJsonText(json);
    return typeof value === 'object' && value !== null ? value : json;
  } catch (error) {
    if (error instanceof SyntaxError) return json;
    throw error;
  }
}

/** The same value with each string in it, the names of its fields included, replaced by `change`'s result. */
export function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (typeof value !== 'object' || value === null || value instanceof Float) return value;
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [change(key), mapStrings(item, change)]));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [change(key), mapStrings(item, change)]));
}

/** All strings in a value, the names of its fields included. */
export function stringsIn(value: unknown): string[] {
  const strings: string[] = [];
  mapStrings(value, (text) => {
    strings.push(text);
    return text;
  });
  return strings;
}
