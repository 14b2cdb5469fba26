import * as jinja from '@huggingface/jinja';
import { InvalidRequest } from '../errors.js';

/**
 * Runs Jinja templates within a budget; the only file that imports @huggingface/jinja.
 *
 * A template comes with the model and may be hostile, by intent or by mistake. The budget stops the known ways to exhaust time and memory with
 * an error that names them. It does not bound a single costly operation of the library: for that, templates run in threads with limits of
 * their own (`src/text/text-threads`).
 */

/** Steps of the interpreter for one conversation. Templates take about a hundred for each message. */
const TEMPLATE_STEPS = 4_000_000;
/** Longest text that a template may make, in UTF-16 units. The messages of a request have at most 8 Mi. */
const TEMPLATE_TEXT_CHARS = 16 * 2 ** 20;
/** Longest list that a template may make. */
const TEMPLATE_LIST_ITEMS = 2 ** 20;
/** All texts that a template makes together, in UTF-16 units; each part of the answer counts once for each expression around it. */
const TEMPLATE_ALL_CHARS = 512 * 2 ** 20;
/** All items of lists that a template makes together. */
const TEMPLATE_ALL_ITEMS = 8 * 2 ** 20;
/** Longest `range`, as in Jinja's sandbox, in which transformers runs templates. */
const TEMPLATE_RANGE_ITEMS = 100_000;

/** The part of the library that is used here. Its own declarations of these names do not resolve from ECMAScript modules. */
interface Library {
  readonly Environment: new () => Environment;
  readonly Interpreter: new (environment: Environment) => Interpreter;
  readonly Template: new (source: string) => { render(variables: Readonly<Record<string, unknown>>): string };
  tokenize(source: string, options: object): readonly { readonly type: string; readonly value: string }[];
  parse(tokens: readonly object[]): Program;
}
interface Environment {
  set(name: string, value: unknown): unknown;
}
interface Interpreter {
  run(program: Program): Result;
  evaluate(statement: Statement | undefined, environment: unknown): Result;
}
interface Result {
  readonly type: string;
  readonly value: unknown;
}
type Program = object;

const { Environment, Interpreter, Template, tokenize, parse } = jinja as unknown as Library;

/** A parsed template. */
export class JinjaTemplate {
  private readonly program: Program;
  /** The string literals of the source. */
  readonly literals: readonly string[];
  /** The names of variables, functions and fields in the source. */
  readonly names: ReadonlySet<string>;

  /** @throws an error of the library if the source is not valid Jinja */
  constructor(source: string) {
    // As in transformers.
    const tokens = tokenize(source, { lstrip_blocks: true, trim_blocks: true });
    this.literals = tokens.filter(({ type }) => type === 'StringLiteral').map(({ value }) => value);
    this.names = new Set(tokens.filter(({ type }) => type === 'Identifier').map(({ value }) => value));
    this.program = parse(tokens);
  }

  /**
   * Renders the template with these variables.
   * @throws InvalidRequest if it exceeds the budget; else an error of the library or of the template
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
    return String(new BudgetedInterpreter(environment).run(this.program).value);
  }
}

/** Statements whose result is a value that exists already. */
const MAKES_NOTHING: ReadonlySet<unknown> = new Set(['Identifier', 'StringLiteral', 'Ternary', 'MemberExpression']);

/** A statement, with the fields of a loop. */
interface Statement {
  readonly type: string;
  readonly iterable?: Statement;
  /** Of the iterable of a loop with a condition: what is iterated. */
  readonly lhs?: Statement;
}

const EMPTY_LIST = { type: 'ArrayLiteral', value: [] };

class BudgetedInterpreter extends Interpreter {
  /** What loops iterate: as in Jinja, an undefined variable has no items. The library fails instead. */
  private readonly iterated = new WeakSet<Statement>();
  private steps = 0;
  private chars = 0;
  private items = 0;

  override evaluate(statement: Statement | undefined, environment: unknown): Result {
    if (++this.steps > TEMPLATE_STEPS) throw exceeded(`takes more than ${TEMPLATE_STEPS} steps`);
    const { iterable } = statement ?? {};
    if (iterable) this.iterated.add(iterable.type === 'SelectExpression' ? iterable.lhs! : iterable);
    const result = super.evaluate(statement, environment);
    if (result.type === 'UndefinedValue' && this.iterated.has(statement!))
      return super.evaluate(EMPTY_LIST, environment);
    if (!MAKES_NOTHING.has(statement?.type)) this.count(result.value);
    return result;
  }

  private count(made: unknown): void {
    if (typeof made === 'string') {
      this.chars += made.length;
      if (made.length > TEMPLATE_TEXT_CHARS)
        throw exceeded(`makes a text of more than ${TEMPLATE_TEXT_CHARS} characters`);
      if (this.chars > TEMPLATE_ALL_CHARS) throw exceeded(`makes texts of more than ${TEMPLATE_ALL_CHARS} characters`);
    } else if (Array.isArray(made)) {
      this.items += made.length;
      if (made.length > TEMPLATE_LIST_ITEMS) throw exceeded(`makes a list of more than ${TEMPLATE_LIST_ITEMS} items`);
      if (this.items > TEMPLATE_ALL_ITEMS) throw exceeded(`makes lists of more than ${TEMPLATE_ALL_ITEMS} items`);
    }
  }
}

function exceeded(what: string): InvalidRequest {
  return new InvalidRequest(`messages: the model's chat template ${what}`, 'messages');
}

/** The library's own `strftime_now`, which it does not export. */
const CLOCK_TEMPLATE = new Template('{{ strftime_now(format) }}');

/** The names that transformers gives templates. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  false: false,
  true: true,
  none: null,
  False: false,
  True: true,
  None: null,
  raise_exception: (message: unknown) => {
    throw new Error(String(message));
  },
  range: boundedRange,
  strftime_now: (format: string) => CLOCK_TEMPLATE.render({ format }),
};

function boundedRange(first: number, last?: number, step = 1): number[] {
  const [from, to] = last === undefined ? [0, first] : [first, last];
  if (step === 0) throw new Error('range() step must not be zero');
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (count > TEMPLATE_RANGE_ITEMS) throw exceeded(`makes a range of more than ${TEMPLATE_RANGE_ITEMS} numbers`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}
