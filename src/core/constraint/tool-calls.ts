import { InvalidRequest } from '../../errors.js';
import { addJsonSchema } from './json-schema.js';
import { JsonText } from './json-text.js';
import { type Program, ProgramBuilder } from './program.js';
import type { JsonSchema } from './schema-facts.js';

/** The constraint of answers that must call tools, or whose calls must satisfy the schemas of the tools. */

/** How a model writes calls: `before`, then calls with `between` between them, then `after`. */
export interface CallForm {
  readonly before: string;
  /** Stands before the name of the tool, which is a JSON string. */
  readonly open: string;
  /** Between the name and the arguments, which are a JSON object. */
  readonly middle: string;
  readonly close: string;
  readonly between: string;
  readonly after: string;
}

/** A tool that may be called, with the schema of its arguments. */
export interface CallableTool {
  readonly name: string;
  readonly schema: JsonSchema;
}

export interface ToolCalls {
  readonly form: CallForm;
  readonly tools: readonly CallableTool[];
  readonly most: 'one' | 'many';
  /** With what `open` begins, if calls may stand in any text, which does not have it otherwise. Absent: the answer is calls and nothing else. */
  readonly mark?: string | undefined;
}

/**
 * The texts that are calls of tools, one or several, and nothing else, or that may have calls. Arguments have no properties that their schema does not list, unless it
 * says otherwise.
 * @throws InvalidRequest, naming the tool whose schema cannot be honoured
 */
export function compileToolCalls({ form, tools, most, mark }: ToolCalls): Program {
  const builder = new ProgramBuilder();
  const json = new JsonText(builder);
  const [call, name, done, end] = [builder.state(), builder.state(), builder.state(), builder.state()];
  if (mark === undefined) builder.text(0, form.before, call);
  else addTextBefore(builder, mark, call);
  builder.text(call, form.open.slice(mark?.length ?? 0), name);
  const named = tools.map((tool): [string, number] => {
    const [begin, close] = [builder.state(), builder.state()];
    builder.call(
      begin,
      ofTool(tool, () => addJsonSchema(builder, json, tool.schema, { closed: true })),
      close,
    );
    builder.text(close, form.close, done);
    return [JSON.stringify(tool.name) + form.middle, begin];
  });
  builder.textsTo(name, named);
  if (mark !== undefined) builder.epsilon(done, most === 'many' ? 0 : end);
  else {
    if (most === 'many') builder.text(done, form.between, call);
    builder.text(done, form.after, end);
  }
  builder.final(end);
  const program = builder.build();
  if (program === null) throw new InvalidRequest('no arguments can satisfy the schemas of their parameters');
  return program;
}

/** Accepts, from the first state on, any bytes without `mark`; the text may end anywhere in them. The mark leads to `to`. */
function addTextBefore(builder: ProgramBuilder, mark: string, to: number): void {
  const bytes = [...new TextEncoder().encode(mark)];
  // By the number of bytes of the mark with which the text ends.
  const states = [...bytes.map((_, length) => (length === 0 ? 0 : builder.state())), to];
  for (const [length] of bytes.entries()) {
    const from = states[length]!;
    builder.final(from);
    const next = Array.from({ length: 256 }, (_, byte) => endLength([...bytes.slice(0, length), byte], bytes));
    for (let first = 0; first < 256; ) {
      let last = first;
      while (last < 255 && next[last + 1] === next[first]) last++;
      builder.bytes(from, first, last, states[next[first]!]!);
      first = last + 1;
    }
  }
}

/** The most bytes of the beginning of `mark` with which `text` ends. */
function endLength(text: readonly number[], mark: readonly number[]): number {
  for (let length = Math.min(text.length, mark.length); length > 0; length--) {
    const from = text.length - length;
    if (text.slice(from).every((byte, i) => byte === mark[i])) return length;
  }
  return 0;
}

function ofTool(tool: CallableTool, add: () => number): number {
  try {
    return add();
  } catch (error) {
    if (error instanceof InvalidRequest) throw new InvalidRequest(`${tool.name}: parameters: ${error.message}`);
    throw error;
  }
}
