import type { Scope } from './scope.js';
import type { JinjaNode } from './syntax.js';
import { iterated, type JinjaValue, type Key, TemplateError, typeName } from './values.js';

/** The arguments of a call, evaluated. */
export interface Arguments {
  readonly args: readonly JinjaValue[];
  readonly named: ReadonlyMap<string, JinjaValue>;
}

/** The part of the interpreter that evaluates expressions. */
export interface Evaluator {
  evaluate(node: JinjaNode, scope: Scope): JinjaValue;
}

/** Evaluates arguments, positional ones first, as Python does. */
export function evaluatedArguments(evaluator: Evaluator, nodes: readonly JinjaNode[], scope: Scope): Arguments {
  const args: JinjaValue[] = [];
  const named = new Map<string, JinjaValue>();
  const add = (key: string, value: JinjaValue) => {
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
    for (const [key, item] of value as ReadonlyMap<Key, JinjaValue>) add(String(key), item);
  }
  return { args, named };
}

function isNamed({ type }: JinjaNode): boolean {
  return type === 'KeywordArgumentExpression' || type === 'KeywordSpreadExpression';
}
