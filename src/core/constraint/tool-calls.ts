import { InvalidRequest } from '../../errors.js';
import { addJsonSchema } from './json-schema.js';
import { type Program, ProgramBuilder } from './program.js';
import type { JsonSchema } from './schema-facts.js';
import { programBytes, SPECIAL_BYTE, specialBytes } from './special-text.js';
import type { MembersForm, ValueForm } from './value-form.js';
import { ValueText } from './value-text.js';

/** The constraint of answers that must call tools, or whose calls must satisfy the schemas of the tools. */

/** How a model writes calls: `before`, then calls with `between` between them, then `after`. */
export interface CallForm {
  readonly before: string;
  /** Stands before the name of the tool. */
  readonly open: string;
  /** Whether the name is a JSON string, or stands as it is. */
  readonly name: 'json' | 'bare';
  /** Between the name and the arguments. */
  readonly middle: string;
  readonly values: ValueForm;
  /** How the arguments are written; null: as one object. */
  readonly members: MembersForm | null;
  readonly close: string;
  readonly between: string;
  readonly after: string;
}

/** A tool that may be called, with the schema of its arguments. */
export interface CallableTool {
  readonly name: string;
  readonly schema: JsonSchema;
  /** The client's name for the schema, in errors. */
  readonly schemaField?: string;
}

export interface ToolCalls {
  readonly form: CallForm;
  /** The texts of the model's special tokens that the form may have. */
  readonly specials: readonly string[];
  readonly tools: readonly CallableTool[];
  readonly most: 'one' | 'many';
  /** With what a call begins, if calls may stand in any text, which does not have it otherwise. Absent: the answer is calls and nothing else. */
  readonly mark?: string | undefined;
  /** The special tokens that such a text may have. Default: none. */
  readonly passing?: readonly string[] | undefined;
}

/**
 * The texts that are calls of tools, one or several, and nothing else, or that may have calls. Arguments are objects, and have no properties that their schema does not
 * list, unless it says otherwise.
 * @throws InvalidRequest, naming the tool whose schema cannot be honoured
 */
export function compileToolCalls({ form, specials, tools, most, mark, passing = [] }: ToolCalls): Program {
  const builder = new ProgramBuilder();
  const bytes = (text: string) => programBytes(text, specials);
  const values = new ValueText(builder, form.values, specials);
  const [call, name, done, end] = [builder.state(), builder.state(), builder.state(), builder.state()];
  if (mark === undefined) builder.text(0, bytes(form.before), call);
  else {
    const marked = builder.state();
    addTextBefore(builder, bytes(mark), passing.map(specialBytes), marked);
    const before = form.before.slice(mark.length);
    if (form.before === '') builder.text(marked, bytes(form.open.slice(mark.length)), name);
    else builder.text(marked, bytes(before), call);
  }
  builder.text(call, bytes(form.open), name);
  const starts: number[] = [];
  const named = tools.map((tool): [Uint8Array, number] => {
    const [begin, close] = [builder.state(), builder.state()];
    const options = { closed: true, object: true, members: form.members };
    const start = ofTool(tool, () => addJsonSchema(builder, values, tool.schema, options));
    starts.push(start);
    builder.call(begin, start, close);
    builder.text(close, bytes(form.close), done);
    return [Buffer.concat([Buffer.from(nameIn(form, tool)), bytes(form.middle)]), begin];
  });
  builder.textsTo(name, named);
  if (most === 'many' && (mark === undefined || form.before !== '')) builder.text(done, bytes(form.between), call);
  builder.text(done, bytes(form.after), mark !== undefined && most === 'many' ? 0 : end);
  builder.final(end);
  const [impossible] = builder.endless(starts);
  if (impossible !== undefined) ofTool(tools[starts.indexOf(impossible)]!, noObject);
  const program = builder.build();
  if (program === null) throw new InvalidRequest('has no tool that could be called');
  return program;
}

/** A name of a tool that stands as it is, as the source of a regular expression: it has no character that would end it. */
export const BARE_NAME = '[^\\s<>(){}[\\]"\'`:=,｜|]+';
const WHOLE_BARE_NAME = new RegExp(`^${BARE_NAME}$`);

function nameIn(form: CallForm, { name }: CallableTool): string {
  if (form.name === 'json') return JSON.stringify(name);
  if (WHOLE_BARE_NAME.test(name)) return name;
  throw new InvalidRequest(
    `${name}: the model cannot write this name in its form of calls; use letters, digits, _ and -`,
  );
}

/** Accepts, from the first state on, any bytes of text and `passing`, without `mark`; the text may end anywhere in them. The mark leads to `to`. */
function addTextBefore(builder: ProgramBuilder, mark: Uint8Array, passing: readonly Uint8Array[], to: number): void {
  // By the number of bytes of the mark with which the text ends.
  const states = [...[...mark].map((_, length) => (length === 0 ? 0 : builder.state())), to];
  const isSpecial = mark[0] === SPECIAL_BYTE;
  for (const length of mark.keys()) {
    const from = states[length]!;
    // A special token is whole.
    if (!isSpecial || length === 0) {
      builder.final(from);
      for (const special of passing) builder.text(from, special, 0);
    }
    const next = Array.from({ length: 256 }, (_, byte) => {
      if (byte === mark[length]) return length + 1;
      if (byte === SPECIAL_BYTE || (isSpecial && length > 0)) return null;
      return isSpecial ? 0 : endLength([...mark.slice(0, length), byte], mark);
    });
    for (let first = 0; first < 256; ) {
      let last = first;
      while (last < 255 && next[last + 1] === next[first]) last++;
      const reached = next[first];
      if (reached !== null && reached !== undefined) builder.bytes(from, first, last, states[reached]!);
      first = last + 1;
    }
  }
}

/** The most bytes of the beginning of `mark` with which `text` ends. */
function endLength(text: readonly number[], mark: Uint8Array): number {
  for (let length = Math.min(text.length, mark.length); length > 0; length--) {
    const from = text.length - length;
    if (text.slice(from).every((byte, i) => byte === mark[i])) return length;
  }
  return 0;
}

function noObject(): never {
  throw new InvalidRequest('no object can satisfy the schema; arguments are objects');
}

function ofTool({ name, schemaField = 'parameters' }: CallableTool, add: () => number): number {
  try {
    return add();
  } catch (error) {
    if (error instanceof InvalidRequest) throw new InvalidRequest(`${name}: ${schemaField}: ${error.message}`);
    throw error;
  }
}
