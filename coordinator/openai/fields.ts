import { z } from 'zod';
import * as limits from '../../src/limits.js';
import { isWellFormed } from '../../src/well-formed.js';

/** Checkers of the values that several fields of request bodies have. */

/** Stop strings in a request, and the length of each. */
const STOP_STRINGS = 64;
const STOP_STRING_CHARS = 256;

/** A list that has to name something. */
export function notEmpty<T extends z.ZodType<readonly unknown[]>>(list: T): T {
  return list.refine((items) => items.length > 0, 'must have at least one item');
}

/**
 * An array of at most `max` items. Checks the length first, so that an array of millions is refused at once, and ends at the first wrong item, where
 * `z.array` goes on and keeps what is wrong with each.
 */
export function listOf<T>(item: z.ZodType<T>, max: number) {
  return z
    .unknown()
    .transform((value, { issues }): T[] => {
      const refuse = (issue: z.core.$ZodRawIssue) => {
        issues.push(issue);
        return z.NEVER;
      };
      if (!Array.isArray(value)) return refuse({ code: 'invalid_type', expected: 'array', input: value });
      if (value.length > max)
        return refuse({
          ...{ code: 'custom', input: value },
          message: `must have at most ${max} items, got ${value.length}`,
        });
      const items: T[] = [];
      for (const [i, one] of value.entries()) {
        const result = item._zod.run({ value: one, issues: [] }, FIRST_ISSUE) as z.core.ParsePayload<T>;
        const [issue] = result.issues;
        if (issue !== undefined) return refuse({ ...issue, path: [i, ...(issue.path ?? [])] });
        items.push(result.value);
      }
      return items;
    })
    .meta({ override: { type: 'array', maxItems: max, items: z.toJSONSchema(item, JSON_SCHEMA) } });
}

/**
 * A value that is checked and stays as the client wrote it. The result of a checker of objects has the checker's own fields first, and chat templates
 * print tools and calls as they come.
 */
export function asWritten<T>(checker: z.ZodType<T>) {
  return z
    .unknown()
    .transform((value, { issues }): T => {
      const [issue] = (checker._zod.run({ value, issues: [] }, FIRST_ISSUE) as z.core.ParsePayload<T>).issues;
      if (issue === undefined) return value as T;
      issues.push(issue);
      return z.NEVER;
    })
    .meta({ override: z.toJSONSchema(checker, JSON_SCHEMA) });
}

/** An error has place for one issue: checking ends with the first. */
export const FIRST_ISSUE = { async: false, abortEarly: true } as const;

/** How checkers become JSON Schema: what a client may send. `override` in a checker's metadata describes one that zod cannot. */
export const JSON_SCHEMA = {
  io: 'input',
  unrepresentable: 'any',
  override: ({ jsonSchema }: { readonly jsonSchema: Record<string, unknown> }) => {
    delete jsonSchema.$schema;
    const { override, description } = jsonSchema;
    if (typeof override !== 'object') return;
    for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
    Object.assign(jsonSchema, override, description === undefined ? {} : { description });
  },
} as const;

export const Name = z
  .string()
  .max(limits.CLIENT_NAME_CHARS)
  .refine(isWellFormed, 'must be well-formed Unicode, got half of a surrogate pair');
export const Count = z.int().min(0);
export const Penalty = z.number().min(-2).max(2);

export const LogitBias = z
  .unknown()
  .superRefine((value, context) => {
    const entries = typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
    if (entries <= limits.LOGIT_BIAS_ENTRIES) return;
    context.addIssue({
      code: 'custom',
      message: `must have at most ${limits.LOGIT_BIAS_ENTRIES} entries, got ${entries}`,
    });
  })
  .pipe(z.record(z.string().regex(/^\d{1,9}$/, 'must be a token id'), z.number().min(-100).max(100)))
  .meta({ override: { type: 'object', additionalProperties: { type: 'number', minimum: -100, maximum: 100 } } });

const StopString = z.string().min(1).max(STOP_STRING_CHARS);
export const Stop = z
  .unknown()
  .transform((value) => (typeof value === 'string' ? [value] : value))
  .pipe(listOf(StopString, STOP_STRINGS))
  .meta({
    override: {
      anyOf: [
        { type: 'string', minLength: 1, maxLength: STOP_STRING_CHARS },
        {
          type: 'array',
          maxItems: STOP_STRINGS,
          items: { type: 'string', minLength: 1, maxLength: STOP_STRING_CHARS },
        },
      ],
    },
  });

/** Texts that an answer may not have, and the length of each. */
const BAD_WORDS = 256;
const BAD_WORD_CHARS = 256;

export const BadWords = listOf(z.string().max(BAD_WORD_CHARS), BAD_WORDS);

/** 64 bits, within the precision of a JSON number. */
export const Seed = z
  .number()
  .min(-(2 ** 63))
  .max(2 ** 64)
  .refine(Number.isInteger, 'must be an integer');
