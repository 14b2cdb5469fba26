import { InvalidRequest } from '../../errors.js';
import { addNumber } from './json-numbers.js';
import { JsonText } from './json-text.js';
import { checkDisjoint } from './one-of.js';
import { type Program, ProgramBuilder } from './program.js';
import { addRegex, addRepeat } from './regex-states.js';
import { anywhere, parseRegex } from './regex-syntax.js';
import { type Facts, factsOf, type JsonSchema, type JsonType, propertyOf } from './schema-facts.js';
import { SchemaRefs } from './schema-refs.js';
import { accepts } from './schema-values.js';
import { FORMATS } from './string-formats.js';

/** Schemas in each other. */
const SCHEMA_DEPTH = 256;

export interface JsonSchemaOptions {
  /** Whether an object that lists its properties has no others where its schema leaves that open. */
  readonly closed: boolean;
}

/**
 * The JSON texts of the values that a schema accepts: properties in the order of the schema, characters escaped only where they must be, numbers
 * without needless forms, and blanks as in documents on one line or with an indented line for each part.
 * @throws InvalidRequest that names the keyword that cannot be honoured, or says that no value is accepted
 */
export function compileJsonSchema(schema: JsonSchema, options: JsonSchemaOptions): Program {
  const builder = new ProgramBuilder();
  builder.epsilon(0, addJsonSchema(builder, new JsonText(builder), schema, options));
  const program = builder.build();
  if (program === null) throw new InvalidRequest('no value can satisfy the schema');
  return program;
}

/** Adds the states of the same texts. Returns their start, for `ProgramBuilder.call`. Throws as `compileJsonSchema`, but not if no value is accepted. */
export function addJsonSchema(
  builder: ProgramBuilder,
  json: JsonText,
  schema: JsonSchema,
  options: JsonSchemaOptions,
): number {
  return new SchemaCompiler(builder, json, schema, options).start();
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
    private readonly json: JsonText,
    schema: JsonSchema,
    private readonly options: JsonSchemaOptions,
  ) {
    this.refs = new SchemaRefs(schema);
  }

  /** Start of the states of a value that the schema accepts. */
  start(): number {
    return this.startOf([this.refs.root]);
  }

  /** Start of the states of a value that all of `schemas` accept. */
  private startOf(schemas: readonly JsonSchema[]): number {
    const parts = schemas.map((schema) => this.refs.target(schema)).filter((schema) => schema !== true);
    const key = parts.map((part) => this.idOf(part)).join();
    const known = this.starts.get(key);
    if (known !== undefined) return known;
    const start = this.builder.state();
    this.starts.set(key, start);
    if (++this.depth > SCHEMA_DEPTH) throw new InvalidRequest(`has more than ${SCHEMA_DEPTH} schemas in each other`);
    const facts = factsOf(parts, (ref) => this.refs.deref(ref));
    if (facts !== null) {
      const end = this.builder.state();
      this.builder.final(end);
      if (facts.choices.length > 0) this.addChoices(facts, parts, start);
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
  private addChoices({ choices }: Facts, parts: readonly JsonSchema[], start: number): void {
    const [{ keyword, options }, ...others] = choices as [Facts['choices'][number], ...Facts['choices']];
    const bases = this.flat(parts).map((part) => this.baseOf(part));
    const rest = [...bases, ...others.map((other) => this.asSchema(other))];
    if (keyword === 'oneOf') checkDisjoint(options, rest, (ref) => this.refs.deref(ref));
    const listed = this.listedTexts(options, rest);
    if (listed !== null) {
      const end = this.builder.state();
      this.builder.final(end);
      this.builder.texts(start, listed, end);
      return;
    }
    for (const option of options) this.builder.epsilon(start, this.startOf([...rest, option]));
  }

  /** The texts of all options together, which then share states, if each is a list of values; else null. */
  private listedTexts(options: readonly JsonSchema[], rest: readonly JsonSchema[]): string[] | null {
    const texts: string[] = [];
    for (const option of options) {
      const facts = this.factsOf([...rest, option]);
      if (facts === null) continue;
      const { values, choices } = facts;
      if (values === null || choices.length > 0) return null;
      for (const value of values) if (accepts(facts, value)) texts.push(JSON.stringify(value));
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
      const accepted = values.filter((value) => accepts(facts, value)).map((value) => JSON.stringify(value));
      this.builder.texts(from, accepted, to);
      return;
    }
    for (const type of facts.types) this.addType(type, facts, from, to);
  }

  private addType(type: JsonType, facts: Facts, from: number, to: number): void {
    switch (type) {
      case 'null':
        this.builder.text(from, 'null', to);
        return;
      case 'boolean':
        this.builder.text(from, 'true', to);
        this.builder.text(from, 'false', to);
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
    const [start, end] = [this.builder.state(), this.builder.state()];
    this.builder.text(from, '"', start);
    this.builder.text(end, '"', to);
    const bounded = minLength > 0 || maxLength < Number.POSITIVE_INFINITY;
    if (format !== null && (bounded || pattern !== null))
      throw new InvalidRequest('format: cannot be honoured beside minLength, maxLength or pattern; leave one out');
    if (pattern === null && format === null) {
      if (minLength <= maxLength) this.json.addAnyChars({ min: minLength, max: maxLength }, start, end);
      return;
    }
    if (bounded)
      throw new InvalidRequest(
        'minLength, maxLength: cannot be honoured beside a pattern; write the length into the pattern',
      );
    named('pattern', () => {
      const regex = pattern === null ? parseRegex(FORMATS[format!]!) : anywhere(parseRegex(pattern));
      addRegex(this.builder, regex, start, end, (at, set, next) => this.json.writeChars(at, set, next));
    });
  }

  private addArray({ arrays, minItems, maxItems }: Facts, from: number, to: number): void {
    if (minItems > maxItems) return;
    const { builder, json } = this;
    const [open, first] = [builder.state(), builder.state()];
    builder.text(from, '[', open);
    builder.call(open, json.blanks, first);
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
    if (!first) this.json.addMark(from, ',', begin);
    this.builder.call(begin, item, end);
    return end;
  }

  private addClose(from: number, mark: string, to: number): void {
    const before = this.builder.state();
    this.builder.call(from, this.json.blanks, before);
    this.builder.text(before, mark, to);
  }

  private addObject(facts: Facts, from: number, to: number): void {
    const { builder, json } = this;
    const names = [
      ...new Set([...facts.objects.flatMap(({ properties }) => Object.keys(properties)), ...facts.required]),
    ];
    const open = builder.state();
    builder.text(from, '{', open);
    const end = builder.state();
    this.addClose(end, '}', to);
    // Before a member: the first one, or one after a comma.
    let [first, later] = [builder.state(), builder.state()];
    builder.call(open, json.blanks, first);
    for (const [i, name] of names.entries()) {
      const [key, done, nextFirst, nextLater] = [builder.state(), builder.state(), builder.state(), builder.state()];
      for (const before of [first, later]) builder.epsilon(before, key);
      const value = this.startOf(propertyOf(facts, name));
      this.addMember((start, colon) => builder.text(start, JSON.stringify(name), colon), value, key, done);
      json.addMark(done, ',', nextLater);
      if (names.slice(i + 1).every((other) => !facts.required.has(other))) builder.epsilon(done, end);
      if (!facts.required.has(name)) {
        builder.epsilon(first, nextFirst);
        builder.epsilon(later, nextLater);
      }
      [first, later] = [nextFirst, nextLater];
    }
    builder.text(first, '}', to);
    this.addOthers(facts, names, [first, later], end);
  }

  /** Adds members with other names. */
  private addOthers(
    facts: Facts,
    names: readonly string[],
    [first, later]: readonly [number, number],
    end: number,
  ): void {
    const { objects } = facts;
    const open = objects.every(({ additional }) => additional === null);
    if (open && objects.length > 0 && this.options.closed) return;
    const value = this.startOf(objects.map(({ additional }) => additional ?? true));
    const [start, done] = [this.builder.state(), this.builder.state()];
    for (const before of [first, later]) this.builder.epsilon(before, start);
    this.addMember((from, to) => this.json.addStringExcept(names, from, to), value, start, done);
    this.json.addMark(done, ',', start);
    this.builder.epsilon(done, end);
  }

  private addMember(addKey: (from: number, to: number) => void, value: number, from: number, to: number): void {
    const [colon, begin] = [this.builder.state(), this.builder.state()];
    addKey(from, colon);
    this.json.addMark(colon, ':', begin);
    this.builder.call(begin, value, to);
  }
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
