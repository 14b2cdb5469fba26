import type { Evaluator } from './call-arguments.js';
import { Scope } from './scope.js';
import type { JinjaNode, Macro, MacroParameter } from './syntax.js';
import { Callable, type JinjaValue, TemplateError, Tuple, Undefined } from './values.js';

/** The part of the interpreter that a macro needs. */
interface Printer extends Evaluator {
  printed(nodes: readonly JinjaNode[], scope: Scope): string;
}

/** Macros, and the bodies of call blocks. They see the scope of their definition, not of their call. */
export class Macros {
  constructor(private readonly printer: Printer) {}

  defined({ name, args, body }: Macro, scope: Scope): Callable {
    return this.bodyOf(name.value, args, body, scope);
  }

  bodyOf(name: string, parameters: readonly MacroParameter[], body: readonly JinjaNode[], scope: Scope): Callable {
    const takesNamed = mentions(body, 'kwargs');
    const takesMore = mentions(body, 'varargs');
    return new Callable(name, (args, named) => {
      const inner = new Scope(scope);
      const rest = new Map(named);
      const caller = rest.get('caller');
      rest.delete('caller');
      inner.set('caller', caller ?? new Undefined('No caller defined'));
      this.bind(name, parameters, args, rest, inner);
      const more = args.slice(parameters.length);
      if (more.length > 0 && !takesMore)
        throw new TemplateError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
      if (rest.size > 0 && !takesNamed)
        throw new TemplateError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
      if (takesMore) inner.set('varargs', new Tuple(more));
      if (takesNamed) inner.set('kwargs', rest);
      return this.printer.printed(body, inner);
    });
  }

  /** Sets the parameters, and removes the ones given by name from `named`. */
  private bind(
    macro: string,
    parameters: readonly MacroParameter[],
    args: readonly JinjaValue[],
    named: Map<string, JinjaValue>,
    scope: Scope,
  ): void {
    for (const [i, parameter] of parameters.entries()) {
      const [name, other] =
        parameter.type === 'Identifier' ? [parameter.value, null] : [parameter.key.value, parameter.value];
      const given = i < args.length ? args[i] : named.get(name);
      if (i < args.length && named.has(name))
        throw new TemplateError(`macro '${macro}' got multiple values for argument '${name}'`);
      named.delete(name);
      const missing = () => new Undefined(`parameter '${name}' was not provided`);
      scope.set(
        name,
        given ?? (given === null ? null : other === null ? missing() : this.printer.evaluate(other, scope)),
      );
    }
  }
}

/** Whether a name is used anywhere in nodes. */
function mentions(node: unknown, name: string): boolean {
  if (Array.isArray(node)) return node.some((one) => mentions(one, name));
  if (node instanceof Map) return [...node].some((pair) => mentions(pair, name));
  if (typeof node !== 'object' || node === null) return false;
  const { type, value } = node as Partial<{ type: string; value: unknown }>;
  if (type === 'Identifier') return value === name;
  return Object.values(node).some((child) => mentions(child, name));
}
