import { InvalidRequest } from '../../errors.js';
import { checkAmbiguity } from './ambiguity.js';
import { compileGrammar } from './grammar.js';
import { compileJsonSchema } from './json-schema.js';
import { type Program, ProgramBuilder, prefixed } from './program.js';
import { addRegex } from './regex-states.js';
import { parseRegex } from './regex-syntax.js';
import type { JsonSchema } from './schema-facts.js';
import { programBytes } from './special-text.js';
import { compileToolCalls, type ToolCalls } from './tool-calls.js';

/** The form that an answer must have. */
export type Constraint =
  | { readonly type: 'json'; readonly schema: JsonSchema; readonly closed: boolean }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'choice'; readonly options: readonly string[] }
  | { readonly type: 'grammar'; readonly grammar: string }
  | ({ readonly type: 'calls' } & ToolCalls)
  | FramedConstraint;

/** Another constraint on the text after a beginning that is always the same. */
interface FramedConstraint {
  readonly type: 'framed';
  readonly before: string;
  /** The texts of special tokens in `before`. */
  readonly specials: readonly string[];
  readonly constraint: Constraint;
}

/**
 * The program of the texts that a constraint allows.
 * @throws InvalidRequest, without the name of a field, that says what cannot be honoured
 */
export function compileConstraint(constraint: Constraint): Program {
  const program = programOf(constraint);
  checkAmbiguity(program);
  return program;
}

function programOf(constraint: Constraint): Program {
  if (constraint.type === 'json') return compileJsonSchema(constraint.schema, constraint);
  if (constraint.type === 'grammar') return compileGrammar(constraint.grammar);
  if (constraint.type === 'framed')
    return prefixed(programBytes(constraint.before, constraint.specials), programOf(constraint.constraint));
  if (constraint.type === 'calls') return compileToolCalls(constraint);
  const builder = new ProgramBuilder();
  const end = builder.state();
  builder.final(end);
  if (constraint.type === 'choice') builder.texts(0, constraint.options, end);
  else {
    const regex = withoutEdges(constraint.pattern);
    addRegex(builder, parseRegex(regex), 0, end, (from, set, to) => builder.chars(from, set, to));
  }
  const program = builder.build();
  if (program === null) throw new InvalidRequest('no text can satisfy it');
  return program;
}

/** An expression for all of a text may say so. */
function withoutEdges(pattern: string): string {
  const start = pattern.startsWith('^') ? 1 : 0;
  const ends = pattern.endsWith('$') && !/(?:^|[^\\])(?:\\\\)*\\\$$/.test(pattern);
  return pattern.slice(start, ends ? -1 : undefined);
}
