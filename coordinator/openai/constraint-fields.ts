import { z } from 'zod';
import type { Constraint } from '../../src/core/constraint/constraint.js';
import type { JsonSchema } from '../../src/core/constraint/schema-facts.js';
import { InvalidRequest } from '../../src/errors.js';
import { listOf, Name } from './fields.js';

/** The fields that constrain an answer: OpenAI's `response_format`, and vLLM's `structured_outputs` and `guided_…`. */

/** Length of a schema as JSON. */
export const SCHEMA_CHARS = 256 * 1024;
/** Texts to choose from, and the length of each. */
const CHOICES = 1_024;
const CHOICE_CHARS = 1_024;

const Schema = z.union([z.boolean(), z.record(z.string(), z.unknown())], { error: 'must be a JSON Schema' });
/** vLLM takes schemas as JSON texts, too. */
const SchemaOrText = z.union([z.string(), Schema], { error: 'must be a JSON Schema, or its text' });
const Pattern = z.string().min(1);
const Choice = listOf(z.string().min(1).max(CHOICE_CHARS), CHOICES).refine(
  (list) => list.length > 0,
  'must not be empty',
);

const GrammarText = z.string().min(1);

const NOT_A_FORMAT = 'must have the type "text", "json_object" or "json_schema"';
export const ResponseFormat = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text') }),
    // With a schema as in llama.cpp's server.
    z.object({ type: z.literal('json_object'), schema: Schema.nullish() }),
    z.object({
      type: z.literal('json_schema'),
      json_schema: z.object({ name: Name.optional(), schema: Schema, strict: z.boolean().nullish() }),
    }),
  ],
  { error: NOT_A_FORMAT },
);

function notYet(name: string) {
  return z
    .unknown()
    .refine(
      (value) => value === undefined || value === null,
      `${name} is not supported; use json, regex, choice or grammar`,
    )
    .optional();
}

export const StructuredOutputs = z.strictObject({
  json: SchemaOrText.nullish(),
  regex: Pattern.nullish(),
  choice: Choice.nullish(),
  json_object: z.boolean().nullish(),
  grammar: GrammarText.nullish(),
  structural_tag: notYet('a structural tag'),
  disable_any_whitespace: notYet('a rule for blanks'),
  whitespace_pattern: notYet('a rule for blanks'),
});
export const GuidedJson = SchemaOrText;
export const GuidedRegex = Pattern;
export const GuidedChoice = Choice;
export const GuidedGrammar = GrammarText;

interface ConstraintFields {
  readonly response_format?: z.infer<typeof ResponseFormat> | undefined;
  readonly structured_outputs?: z.infer<typeof StructuredOutputs> | undefined;
  readonly guided_json?: z.infer<typeof SchemaOrText> | undefined;
  readonly guided_regex?: string | undefined;
  readonly guided_choice?: readonly string[] | undefined;
  readonly guided_grammar?: string | undefined;
  readonly ignore_eos?: boolean | undefined;
  readonly min_tokens?: number | undefined;
  readonly stop_token_ids?: readonly number[] | undefined;
}

/** A constraint, and the field that it came from. */
export interface NamedConstraint {
  readonly constraint: Constraint;
  readonly param: string;
}

/**
 * The constraint on a request's answer; null if it may be any text. An answer that must be calls has no text that `response_format` could concern.
 * @param further constraints in addition to these fields
 * @throws InvalidRequest that names the wrong field
 */
export function constraintIn(fields: ConstraintFields, further: readonly NamedConstraint[]): NamedConstraint | null {
  const calls = further.some(({ constraint }) => constraint.type === 'calls');
  const own = constraintsIn(calls ? { ...fields, response_format: undefined } : fields);
  const [found, other] = [...own, ...further];
  if (found === undefined) return null;
  if (other !== undefined)
    throw new InvalidRequest(`${other.param}: cannot be combined with ${found.param}; send one of them`, other.param);
  for (const name of ['ignore_eos', 'min_tokens', 'stop_token_ids'] as const) {
    const value = fields[name];
    if (typeof value === 'object' ? value.length > 0 : value)
      throw new InvalidRequest(`${name}: cannot be combined with ${found.param}, which decides the end`, name);
  }
  return found;
}

function constraintsIn(fields: ConstraintFields): NamedConstraint[] {
  return [
    ...optional(formatConstraint(fields.response_format, 'response_format')),
    ...(fields.structured_outputs === undefined ? [] : outputsOf(fields.structured_outputs)),
    ...schemaOf(fields.guided_json, 'guided_json'),
    ...patternOf(fields.guided_regex, 'guided_regex'),
    ...choiceOf(fields.guided_choice, 'guided_choice'),
    ...grammarOf(fields.guided_grammar, 'guided_grammar'),
  ];
}

function outputsOf(outputs: z.infer<typeof StructuredOutputs>): NamedConstraint[] {
  const found = [
    ...schemaOf(outputs.json, 'structured_outputs.json'),
    ...(outputs.json_object ? [anyObject('structured_outputs.json_object')] : []),
    ...patternOf(outputs.regex, 'structured_outputs.regex'),
    ...choiceOf(outputs.choice, 'structured_outputs.choice'),
    ...grammarOf(outputs.grammar, 'structured_outputs.grammar'),
  ];
  if (found.length === 0)
    throw new InvalidRequest(
      'structured_outputs: must have one of json, regex, choice, grammar and json_object, got none',
      'structured_outputs',
    );
  return found;
}

/** The constraint of a format; null for text. @param param the field that it came from */
export function formatConstraint(format: ConstraintFields['response_format'], param: string): NamedConstraint | null {
  if (format === undefined || format.type === 'text') return null;
  if (format.type === 'json_object') {
    const { schema } = format;
    return schema === undefined || schema === null ? anyObject(param) : json(schema, false, `${param}.schema`);
  }
  const { schema, strict } = format.json_schema;
  return json(schema, strict ?? false, param === 'response_format' ? `${param}.json_schema.schema` : `${param}.schema`);
}

function optional(found: NamedConstraint | null): NamedConstraint[] {
  return found === null ? [] : [found];
}

function anyObject(param: string): NamedConstraint {
  return json({ type: 'object' }, false, param);
}

/** As in vLLM, an object has only the properties that its schema lists, unless the schema says otherwise. */
function schemaOf(schema: z.infer<typeof SchemaOrText> | null | undefined, param: string): NamedConstraint[] {
  if (schema === undefined || schema === null) return [];
  return [json(typeof schema === 'string' ? parsed(schema, param) : schema, true, param)];
}

function json(schema: JsonSchema, closed: boolean, param: string): NamedConstraint {
  const chars = JSON.stringify(schema).length;
  if (chars > SCHEMA_CHARS)
    throw new InvalidRequest(`${param}: must have at most ${SCHEMA_CHARS} characters, got ${chars}`, param);
  return { constraint: { type: 'json', schema, closed }, param };
}

function parsed(text: string, param: string): JsonSchema {
  const wrong = () => new InvalidRequest(`${param}: must be a JSON Schema, or its text`, param);
  if (text.length > SCHEMA_CHARS) throw wrong();
  try {
    const schema = Schema.safeParse(JSON.parse(text));
    if (schema.success) return schema.data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw wrong();
}

function patternOf(pattern: string | null | undefined, param: string): NamedConstraint[] {
  return pattern === undefined || pattern === null ? [] : [{ constraint: { type: 'regex', pattern }, param }];
}

function choiceOf(options: readonly string[] | null | undefined, param: string): NamedConstraint[] {
  return options === undefined || options === null ? [] : [{ constraint: { type: 'choice', options }, param }];
}

function grammarOf(grammar: string | null | undefined, param: string): NamedConstraint[] {
  return grammar === undefined || grammar === null ? [] : [{ constraint: { type: 'grammar', grammar }, param }];
}
