import type { Scope } from './scope.js';
import type { Node } from './syntax.js';
import { iterated, type Key, TemplateError, typeName, type Value } from './values.js';

/** The arguments of a call, evaluated. */
export interface Arguments {
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** The part of the interpreter that evaluates expressions. */
export interface Evaluator {
  evaluate(node: Node, scope: Scope): Value;
}

/** Evaluates arguments: those by position first, as Python does. */
export function evaluatedArguments(evaluator: Evaluator, nodes: readonly Node[], scope: Scope): Arguments {
  const args: Value[] = [];
  const named = new Map<string, Value>();
  const add = (key: string, value: Value) => {
    if (named.has(key)) throw new TemplateError(`got multiple values for keyword argument '${key}'`);
    named.set(key, value);
  };
  for (const node of nodes) {
    if (node.type === 'SpreadExpression') args.push(...iterated(evaluator.evaluate(node.argument, scope)));
    else if (!isNamed(node)) args.push(evaluator.evaluate(node, scope));
  }
  for (const node of nodes) {
    if (node.type === 'KeywordArgumentExpression') add(node.key.value, evaluator.evaluate(node.value, scope));
    if (node.type !== 'KeywordSpreadExpression') continue;
    const value = evaluator.evaluate(node.argument, scope);
    if (!(value instanceof Map)) throw new TemplateError(`argument after ** must be a mapping, not ${typeName(value)}`);
    for (const [key, item] of value as ReadonlyMap<Key, Value>) add(String(key), item);
  }
  return { args, named };
}

function isNamed({ type }: Node): boolean {
  return type === 'KeywordArgumentExpression' || type === 'KeywordSpreadExpression';
}
