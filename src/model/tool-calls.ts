import { z } from 'zod';

/** Prepares the tools and tool calls of a conversation for a chat template. */

const ToolCall = z.looseObject({ function: z.looseObject({ arguments: z.unknown() }) });

/**
 * A tool call with its arguments as an object, as templates expect; the API has them as JSON text. Arguments that are not an object stay a string:
 * models make mistakes.
 */
export function withParsedArguments(call: unknown): unknown {
  const parsed = ToolCall.safeParse(call);
  if (!parsed.success) return call;
  const { function: called } = parsed.data;
  return { ...parsed.data, function: { ...called, arguments: parsedObject(called.arguments) } };
}

function parsedObject(json: unknown): unknown {
  if (typeof json !== 'string') return json;
  try {
    const value: unknown = JSON.parse(json);
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
  if (typeof value !== 'object' || value === null) return value;
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
