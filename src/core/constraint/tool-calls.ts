import { InvalidRequest } from '../../errors.js';
import { addJsonSchema } from './json-schema.js';
import { JsonText } from './json-text.js';
import { type Program, ProgramBuilder } from './program.js';
import type { JsonSchema } from './schema-facts.js';

/** The constraint of answers that must call tools. */

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
}

/**
 * The texts that are calls of tools, one or several, and nothing else. Arguments have no properties that their schema does not list, unless it
 * says otherwise.
 * @throws InvalidRequest that names the tool whose schema cannot be honoured
 */
export function compileToolCalls({ form, tools, most }: ToolCalls): Program {
  const builder = new ProgramBuilder();
  const json = new JsonText(builder);
  const [call, name, done, end] = [builder.state(), builder.state(), builder.state(), builder.state()];
  builder.text(0, form.before, call);
  builder.text(call, form.open, name);
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
  if (most === 'many') builder.text(done, form.between, call);
  builder.text(done, form.after, end);
  builder.final(end);
  const program = builder.build();
  if (program === null) throw new InvalidRequest('no arguments can satisfy the schemas of their parameters');
  return program;
}

function ofTool(tool: CallableTool, add: () => number): number {
  try {
    return add();
  } catch (error) {
    if (error instanceof InvalidRequest) throw new InvalidRequest(`${tool.name}: parameters: ${error.message}`);
    throw error;
  }
}
