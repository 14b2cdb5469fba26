import { z } from 'zod';
import { InvalidRequest } from '../../../src/errors.js';
import { fieldError } from '../field-error.js';
import { FIRST_ISSUE } from '../fields.js';

/** Unknown names of a request that an answer lists, and the characters of each that it shows. */
const IGNORED_NAMES = 32;
const IGNORED_NAME_CHARS = 64;

/**
 * Parses a body with `schema`. Unknown fields are ignored; a null field counts as absent.
 * @throws InvalidRequest that names the first wrong field
 */
export function checkBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const given = Object.fromEntries(Object.entries(objectIn(body)).filter(([, value]) => value !== null));
  const result = schema.safeParse(given, { ...FIRST_ISSUE, error: fieldError });
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const param = pathOf(issue.path);
  throw new InvalidRequest(`${param}: ${issue.message}`, param);
}

/** The names in a body that `schema` does not know, including objects one level below, as `stream_options.x`; at most 32, cut to 64 characters. */
export function unknownNames(schema: z.ZodObject, body: unknown): string[] {
  const names: string[] = [];
  for (const [name, value] of Object.entries(objectIn(body))) {
    if (names.length >= IGNORED_NAMES) break;
    if (!Object.hasOwn(schema.shape, name)) names.push(name);
    else names.push(...unknownMembers(schema.shape[name]!, value).map((member) => `${name}.${member}`));
  }
  return names.slice(0, IGNORED_NAMES).map((name) => name.slice(0, IGNORED_NAME_CHARS));
}

function unknownMembers(schema: z.core.$ZodType, value: unknown): string[] {
  const inner = schema instanceof z.ZodOptional ? schema.unwrap() : schema;
  // An object with a catch-all takes any member.
  if (!(inner instanceof z.ZodObject) || inner.def.catchall !== undefined) return [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value)
    .filter((name) => !Object.hasOwn(inner.shape, name))
    .slice(0, IGNORED_NAMES);
}

function objectIn(body: unknown): object {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  throw new InvalidRequest('body: must be a JSON object');
}

/** A path in the form `messages[2].content`. */
function pathOf(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');
}
