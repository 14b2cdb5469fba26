import { InvalidRequest } from '../../errors.js';
import type { ProgramBuilder } from './program.js';
import { type Facts, type JsonSchema, propertyOf } from './schema-facts.js';
import type { MembersForm } from './value-form.js';
import type { ValueText } from './value-text.js';

/** The states of objects. */

/** The text around the members of an object. */
interface ObjectNotation {
  /** Before the first member. */
  open(from: number, to: number): void;
  /** After `open`, the end of an object without members. */
  empty(from: number, to: number): void;
  /** After the last member. */
  close(from: number, to: number): void;
  /** The name of a member, and what stands before its value. */
  name(name: string, from: number, to: number): void;
  /** A name that is none of `names`, and what stands before its value. */
  others(names: readonly string[], from: number, to: number): void;
  /** Between members. */
  separator(from: number, to: number): void;
}

/** An object in braces, as JSON has it. */
export class BracedObject implements ObjectNotation {
  constructor(
    private readonly builder: ProgramBuilder,
    private readonly values: ValueText,
  ) {}

  open(from: number, to: number): void {
    const open = this.builder.state();
    this.builder.text(from, '{', open);
    this.builder.call(open, this.values.blanks, to);
  }

  empty(from: number, to: number): void {
    this.builder.text(from, '}', to);
  }

  close(from: number, to: number): void {
    const before = this.builder.state();
    this.builder.call(from, this.values.blanks, before);
    this.builder.text(before, '}', to);
  }

  name(name: string, from: number, to: number): void {
    const colon = this.builder.state();
    this.builder.text(from, this.values.nameBytes(name) ?? unwritableName(name), colon);
    this.values.addMark(colon, ':', to);
  }

  others(names: readonly string[], from: number, to: number): void {
    const colon = this.builder.state();
    this.values.addNameExcept(names, from, colon);
    this.values.addMark(colon, ':', to);
  }

  separator(from: number, to: number): void {
    this.values.addMark(from, ',', to);
  }
}

/** Names that can stand without quotation marks. */
const PLAIN_NAME = /^[^\s=:,"'()[\]{}<>](?:[^=:,"'()[\]{}<>\n]*[^\s=:,"'()[\]{}<>])?$/;

/** The arguments of a call, where the call has the braces. */
export class BareMembers implements ObjectNotation {
  constructor(
    private readonly builder: ProgramBuilder,
    private readonly values: ValueText,
    private readonly form: MembersForm,
  ) {}

  open(from: number, to: number): void {
    this.builder.epsilon(from, to);
  }

  empty(from: number, to: number): void {
    this.builder.epsilon(from, to);
  }

  close(from: number, to: number): void {
    this.builder.epsilon(from, to);
  }

  name(name: string, from: number, to: number): void {
    if (!PLAIN_NAME.test(name)) unwritableName(name);
    this.builder.text(from, name + this.form.assign, to);
  }

  others(names: readonly string[], from: number, to: number): void {
    const assign = this.builder.state();
    this.values.addBareNameExcept(names, from, assign);
    this.builder.text(assign, this.form.assign, to);
  }

  separator(from: number, to: number): void {
    this.builder.text(from, this.form.separator, to);
  }
}

function unwritableName(name: string): never {
  throw new InvalidRequest(
    `properties: the model cannot write an argument named ${JSON.stringify(name).slice(0, 100)} in its form of calls; rename it`,
  );
}

interface ObjectPlan {
  readonly builder: ProgramBuilder;
  readonly notation: ObjectNotation;
  /** As in `JsonSchemaOptions`. */
  readonly closed: boolean;
  /** Start of the states of a value that all of some schemas accept. */
  startOf(schemas: readonly JsonSchema[]): number;
}

/** Adds an object that satisfies `facts`: its listed properties in their order, then others. */
export function addObject(plan: ObjectPlan, facts: Facts, from: number, to: number): void {
  const { builder, notation } = plan;
  const names = [
    ...new Set([...facts.objects.flatMap(({ properties }) => Object.keys(properties)), ...facts.required]),
  ];
  const end = builder.state();
  notation.close(end, to);
  // Before a member: the first one, or one after a separator.
  let [first, later] = [builder.state(), builder.state()];
  notation.open(from, first);
  for (const [i, name] of names.entries()) {
    const [key, done, nextFirst, nextLater] = [builder.state(), builder.state(), builder.state(), builder.state()];
    for (const before of [first, later]) builder.epsilon(before, key);
    const begin = builder.state();
    notation.name(name, key, begin);
    builder.call(begin, plan.startOf(propertyOf(facts, name)), done);
    notation.separator(done, nextLater);
    if (names.slice(i + 1).every((other) => !facts.required.has(other))) builder.epsilon(done, end);
    if (!facts.required.has(name)) {
      builder.epsilon(first, nextFirst);
      builder.epsilon(later, nextLater);
    }
    [first, later] = [nextFirst, nextLater];
  }
  notation.empty(first, to);
  addOthers(plan, facts, names, [first, later], end);
}

/** Adds members with other names. */
function addOthers(
  { builder, notation, closed, startOf }: ObjectPlan,
  { objects }: Facts,
  names: readonly string[],
  [first, later]: readonly [number, number],
  end: number,
): void {
  const open = objects.every(({ additional }) => additional === null);
  if (open && objects.length > 0 && closed) return;
  const value = startOf(objects.map(({ additional }) => additional ?? true));
  const [start, begin, done] = [builder.state(), builder.state(), builder.state()];
  for (const before of [first, later]) builder.epsilon(before, start);
  notation.others(names, start, begin);
  builder.call(begin, value, done);
  notation.separator(done, start);
  builder.epsilon(done, end);
}
