import { Budget } from './budget.js';
import { globalsFor } from './globals.js';
import { Interpreter } from './interpreter.js';
import { Scope } from './scope.js';
import { type ParsedTemplate, parseTemplate } from './syntax.js';
import { fromJson } from './values.js';

/**
 * A Jinja template, run as transformers runs it: in the immutable sandbox of Python's jinja2, with `trim_blocks`, `lstrip_blocks` and loop
 * controls.
 */
export class JinjaTemplate {
  private readonly parsed: ParsedTemplate;
  /** The string literals of the source. */
  readonly literals: readonly string[];
  /** The names of variables, functions and fields in the source. */
  readonly names: ReadonlySet<string>;

  /** @throws an error of the parser if the source is not valid Jinja */
  constructor(source: string) {
    this.parsed = parseTemplate(source);
    const { tokens } = this.parsed;
    this.literals = tokens.filter(({ type }) => type === 'StringLiteral').map(({ value }) => value);
    this.names = new Set(tokens.filter(({ type }) => type === 'Identifier').map(({ value }) => value));
  }

  /**
   * Renders the template with these variables, which are values of JSON or of templates.
   * @throws InvalidRequest if it exceeds the budget; TemplateError for what Python refuses too, and for the few things that are not supported
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    const budget = new Budget();
    const globals = new Scope(null);
    for (const callable of globalsFor(budget, () => new Date())) globals.set(callable.name, callable);
    for (const [name, value] of Object.entries(variables)) globals.set(name, fromJson(value));
    return new Interpreter(budget).printed(this.parsed.body, new Scope(globals));
  }
}
