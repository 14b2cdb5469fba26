import { InvalidRequest } from '../../errors.js';
import { ANY_CHAR } from './char-set.js';
import { addNumber } from './json-numbers.js';
import { addObject, BareMembers, BracedObject } from './object-states.js';
import { checkDisjoint } from './one-of.js';
import { type Program, ProgramBuilder } from './program.js';
import { type Lengths, regexLengths } from './regex-lengths.js';
import { addAllOf } from './regex-product.js';
import { addRegex, addRepeat } from './regex-states.js';
import { anywhere, parseRegex, type Regex } from './regex-syntax.js';
import { type Facts, factsOf, type JsonSchema, type JsonType } from './schema-facts.js';
import { SchemaRefs } from './schema-refs.js';
import { accepts } from './schema-values.js';
import { FORMATS } from './string-formats.js';
import type { MembersForm } from './value-form.js';
import { ValueText } from './value-text.js';

/** Schemas in each other. */
const SCHEMA_DEPTH = 256;

export interface JsonSchemaOptions {
  /** Whether an object that lists its properties has no others where its schema leaves that open. */
  readonly closed: boolean;
  /** Whether the value must be an object, whatever the schema says. Default: false. */
  readonly object?: boolean;
  /** The schema is that of a call's arguments, which are written as members. Default: it is that of one value. */
  readonly members?: MembersForm | null;
}

const ANY_OBJECT: JsonSchema = { type: 'object' };

/** Whether a schema describes a value, or arguments that are written as members. */
type Place = 'value' | 'members';

/**
 * The JSON texts of the values that a schema accepts: properties in the order of the schema, characters escaped only where they must be, numbers
 * without needless forms, and blanks as in documents on one line or with an indented line for each part.
 * @throws InvalidRequest that names the keyword that cannot be honoured, or says that no value is accepted
 */
export function compileJsonSchema(schema: JsonSchema, options: JsonSchemaOptions): Program {
  const builder = new ProgramBuilder();
  builder.epsilon(0, addJsonSchema(builder, new ValueText(builder), schema, options));
  const program = builder.build();
  if (program === null) throw new InvalidRequest('no value can satisfy the schema');
  return program;
}

/** Adds the states of the same texts. Returns their start, for `ProgramBuilder.call`. Throws as `compileJsonSchema`, but not if no value is accepted. */
export function addJsonSchema(
  builder: ProgramBuilder,
  values: ValueText,
  schema: JsonSchema,
  options: JsonSchemaOptions,
): number {
  return new SchemaCompiler(builder, values, schema, options).start();
}

class SchemaCompiler {
  /** By the schemas that a value must satisfy: the start of its states. */
  private readonly starts = new Map<string, number>();
  private readonly ids = new Map<JsonSchema, number>();
  /** By schema: the same without its choices. */
  private readonly bases = new Map<JsonSchema, JsonSchema>();
  private depth = 0;

  private readonly refs: SchemaRefs;

  constructor(
    private readonly builder: ProgramBuilder,
    private readonly values: ValueText,
    schema: JsonSchema,
    private readonly options: JsonSchemaOptions,
  ) {
    this.refs = new SchemaRefs(schema);
  }

  /** Start of the states of a value that the schema accepts. */
  start(): number {
    const { root } = this.refs;
    const isOpen = this.options.object && (typeof root === 'boolean' || root.type !== 'object');
    return this.startOf(isOpen ? [root, ANY_OBJECT] : [root], this.options.members ? 'members' : 'value');
  }

  /** Start of the states of a value that all of `schemas` accept. */
  private startOf(schemas: readonly JsonSchema[], place: Place = 'value'): number {
    const parts = schemas.map((schema) => this.refs.target(schema)).filter((schema) => schema !== true);
    const key = `${place} ${parts.map((part) => this.idOf(part)).join()}`;
    const known = this.starts.get(key);
    if (known !== undefined) return known;
    const start = this.builder.state();
    this.starts.set(key, start);
    if (++this.depth > SCHEMA_DEPTH) throw new InvalidRequest(`has more than ${SCHEMA_DEPTH} schemas in each other`);
    const facts = factsOf(parts, (ref) => this.refs.deref(ref));
    if (facts !== null) {
      const end = this.builder.state();
      this.builder.final(end);
      if (facts.choices.length > 0) this.addChoices(facts, parts, start, place);
      else if (place === 'members') this.addMembers(facts, start, end);
      else this.addValue(facts, start, end);
    }
    this.depth--;
    return start;
  }

  private idOf(schema: JsonSchema): number {
    const id = this.ids.get(schema) ?? this.ids.size;
    this.ids.set(schema, id);
    return id;
  }

  /** One option of the first list of choices, together with everything else. */
  private addChoices({ choices }: Facts, parts: readonly JsonSchema[], start: number, place: Place): void {
    const [{ keyword, options }, ...others] = choices as [Facts['choices'][number], ...Facts['choices']];
    const bases = this.flat(parts).map((part) => this.baseOf(part));
    const rest = [...bases, ...others.map((other) => this.asSchema(other))];
    if (keyword === 'oneOf') checkDisjoint(options, rest, (ref) => this.refs.deref(ref));
    const listed = place === 'members' ? null : this.listedTexts(options, rest);
    if (listed !== null) {
      const end = this.builder.state();
      this.builder.final(end);
      this.builder.texts(start, listed, end);
      return;
    }
    for (const option of options) this.builder.epsilon(start, this.startOf([...rest, option], place));
  }

  /** The texts of all options together, which then share states, if each is a list of values; else null. */
  private listedTexts(options: readonly JsonSchema[], rest: readonly JsonSchema[]): Uint8Array[] | null {
    const texts: Uint8Array[] = [];
    for (const option of options) {
      const facts = this.factsOf([...rest, option]);
      if (facts === null) continue;
      const { values, choices } = facts;
      if (values === null || choices.length > 0) return null;
      texts.push(...this.textsOf(facts, values));
    }
    return texts;
  }

  private factsOf(schemas: readonly JsonSchema[]): Facts | null {
    return factsOf(schemas, (ref) => this.refs.deref(ref));
  }

  /** The schemas of `parts`, and the ones that they include by `$ref` and `allOf`. */
  private flat(parts: readonly JsonSchema[]): JsonSchema[] {
    return parts.flatMap((part) => {
      if (typeof part === 'boolean') return [part];
      const named = typeof part.$ref === 'string' ? [this.refs.deref(part.$ref)] : [];
      return [part, ...this.flat([...named, ...((part.allOf as JsonSchema[] | undefined) ?? [])])];
    });
  }

  /** A schema without its choices and without the schemas that `flat` adds. Equal schemas have equal bases. */
  private baseOf(schema: JsonSchema): JsonSchema {
    if (typeof schema === 'boolean') return schema;
    const known = this.bases.get(schema);
    if (known !== undefined) return known;
    const { anyOf: _any, oneOf: _one, allOf: _all, $ref: _ref, ...rest } = schema;
    this.bases.set(schema, rest);
    return rest;
  }

  private readonly choiceSchemas = new Map<readonly JsonSchema[], JsonSchema>();

  private asSchema({ keyword, options }: Facts['choices'][number]): JsonSchema {
    const known = this.choiceSchemas.get(options);
    const schema = known ?? { [keyword]: options };
    this.choiceSchemas.set(options, schema);
    return schema;
  }

  private addValue(facts: Facts, from: number, to: number): void {
    const { values } = facts;
    if (values !== null) {
      this.builder.texts(from, this.textsOf(facts, values), to);
      return;
    }
    for (const type of facts.types) this.addType(type, facts, from, to);
  }

  /** The texts of those of some values that a schema accepts. */
  private textsOf(facts: Facts, values: readonly unknown[]): Uint8Array[] {
    return values
      .filter((value) => accepts(facts, value))
      .map((value) => this.values.valueBytes(value) ?? unwritable(value));
  }

  private addMembers(facts: Facts, from: number, to: number): void {
    if (facts.values !== null)
      throw new InvalidRequest('enum, const: cannot be honoured for all arguments together; use them in properties');
    if (facts.types.has('object')) this.addObject(facts, from, to, this.options.members);
  }

  private addType(type: JsonType, facts: Facts, from: number, to: number): void {
    switch (type) {
      case 'null':
        this.builder.text(from, this.values.word('null'), to);
        return;
      case 'boolean':
        for (const word of ['true', 'false'] as const) this.builder.text(from, this.values.word(word), to);
        return;
      case 'number':
        named('minimum, maximum', () => addNumber(this.builder, facts, from, to));
        return;
      case 'string':
        this.addString(facts, from, to);
        return;
      case 'array':
        this.addArray(facts, from, to);
        return;
      case 'object':
        this.addObject(facts, from, to);
        return;
    }
  }

  private addString({ minLength, maxLength, pattern, format }: Facts, from: number, to: number): void {
    const lengths = { min: minLength, max: maxLength };
    if (lengths.min > lengths.max) return;
    const bounded = minLength > 0 || maxLength < Number.POSITIVE_INFINITY;
    if (pattern === null && format !== null && isWithin(FORMATS[format]!, lengths)) {
      this.builder.call(from, this.formatStart(format), to);
      return;
    }
    this.values.addString(from, to, (start, end) => {
      if (pattern === null && format === null) {
        this.values.addAnyChars(lengths, start, end);
        return;
      }
      named(pattern === null ? 'format' : 'pattern', () => {
        const wanted = pattern === null ? [] : [anywhere(parseRegex(pattern))];
        if (format !== null) wanted.push(parseRegex(FORMATS[format]!));
        if (bounded) wanted.push({ type: 'repeat', item: { type: 'chars', set: ANY_CHAR }, ...lengths });
        this.addTexts(wanted, start, end);
      });
    });
  }

  /** The texts that all expressions match. */
  private addTexts(expressions: readonly Regex[], from: number, to: number): void {
    if (expressions.length === 1) this.addRegex(expressions[0]!, from, to);
    else addAllOf(this.builder, expressions, from, to, (at, set, next) => this.values.writeChars(at, set, next));
  }

  private addRegex(regex: Regex, from: number, to: number): void {
    addRegex(this.builder, regex, from, to, (at, set, next) => this.values.writeChars(at, set, next));
  }

  /** The start of the states of a string with a format, which all strings of the format share. */
  private formatStart(format: string): number {
    const source = FORMATS[format]!;
    return this.values.shared(source, (from, to) =>
      this.values.addString(from, to, (start, end) => this.addRegex(parseRegex(source), start, end)),
    );
  }

  private addArray({ arrays, minItems, maxItems }: Facts, from: number, to: number): void {
    if (minItems > maxItems) return;
    const { builder, values } = this;
    const [open, first] = [builder.state(), builder.state()];
    builder.text(from, '[', open);
    builder.call(open, values.blanks, first);
    if (minItems === 0) builder.text(first, ']', to);
    const prefix = Math.min(maxItems, Math.max(0, ...arrays.map((part) => part.prefix.length)));
    let at = first;
    for (let i = 0; i < prefix; i++) {
      const item = this.startOf(arrays.map((part) => part.prefix[i] ?? part.items));
      at = this.addItem(item, i === 0, at);
      if (i + 1 >= minItems) this.addClose(at, ']', to);
    }
    if (prefix >= maxItems) return;
    const item = this.startOf(arrays.map((part) => part.items));
    if (prefix === 0) at = this.addItem(item, true, at);
    const done = Math.max(1, prefix);
    const min = Math.max(0, minItems - done);
    const end = builder.state();
    addRepeat(builder, { min, max: maxItems - done }, at, end, (start, next) =>
      builder.epsilon(this.addItem(item, false, start), next),
    );
    this.addClose(end, ']', to);
  }

  /** Adds an item, and a comma before it unless it is the first. Returns the state after it. */
  private addItem(item: number, first: boolean, from: number): number {
    const [begin, end] = [first ? from : this.builder.state(), this.builder.state()];
    if (!first) this.values.addMark(from, ',', begin);
    this.builder.call(begin, item, end);
    return end;
  }

  private addClose(from: number, mark: string, to: number): void {
    const before = this.builder.state();
    this.builder.call(from, this.values.blanks, before);
    this.builder.text(before, mark, to);
  }

  private addObject(facts: Facts, from: number, to: number, members: MembersForm | null = null): void {
    const { builder, values } = this;
    const notation = members === null ? new BracedObject(builder, values) : new BareMembers(builder, values, members);
    addObject(
      { builder, notation, closed: this.options.closed, startOf: (schemas) => this.startOf(schemas) },
      facts,
      from,
      to,
    );
  }
}

/** Whether all texts of an expression keep the bounds. */
function isWithin(source: string, { min, max }: Lengths): boolean {
  const own = regexLengths(parseRegex(source));
  return min <= own.min && max >= own.max;
}

function unwritable(value: unknown): never {
  throw new InvalidRequest(
    `enum, const: the model cannot write ${JSON.stringify(value).slice(0, 100)} in its form of calls; leave it out`,
  );
}

/** Puts the name of a keyword before the messages of errors. */
function named(keyword: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof InvalidRequest && error.constructor === InvalidRequest)
      throw new InvalidRequest(`${keyword}: ${error.message}`);
    throw error;
  }
}
