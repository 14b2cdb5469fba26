import type { Budget } from './budget.js';
import { type Arguments, type Evaluator, evaluatedArguments } from './call-arguments.js';
import { CHAINED } from './comparisons.js';
import type { FilterMachine } from './filter-machine.js';
import { filtered } from './filters.js';
import { LoopState } from './loop-state.js';
import { Macros } from './macros.js';
import { fieldOf, itemOf, sliceOf } from './members.js';
import { negated, operated } from './operators.js';
import { Scope } from './scope.js';
import type {
  Binary,
  CallExpression,
  CallStatement,
  For,
  Identifier,
  JinjaNode,
  MemberExpression,
  SetStatement,
} from './syntax.js';
import { NEGATED_TEST_PREFIX, TEST_PREFIX } from './test-arguments.js';
import { printedText } from './text-of.js';
import { TUPLE_FILTER } from './tuples.js';
import { tested } from './value-tests.js';
import {
  Attributes,
  Callable,
  Float,
  isTruthy,
  iterated,
  type JinjaValue,
  type Key,
  keyOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** The continuation of a statement: the next statement, or the end or the next iteration of the enclosing loop. */
type Flow = 'next' | 'break' | 'continue';

/** The cost of a loop's iteration besides its body: it has its own scope. */
const ITERATION_STEPS = 8;

const CONSTANTS: ReadonlyMap<string, JinjaValue> = new Map<string, JinjaValue>([
  ...(['true', 'True'] as const).map((name) => [name, true] as const),
  ...(['false', 'False'] as const).map((name) => [name, false] as const),
  ...(['none', 'None'] as const).map((name) => [name, null] as const),
]);

/** Runs one template once, with the values and rules of Python. */
export class Interpreter implements FilterMachine, Evaluator {
  private readonly macros = new Macros(this);

  constructor(readonly budget: Budget) {}

  /** The text that statements print. */
  printed(nodes: readonly JinjaNode[], scope: Scope): string {
    const out: string[] = [];
    if (this.run(nodes, scope, out) !== 'next')
      throw new TemplateError("'break' or 'continue' stands outside of a loop");
    return this.budget.made(out.join(''));
  }

  filter(
    name: string,
    value: JinjaValue,
    args: readonly JinjaValue[],
    named: ReadonlyMap<string, JinjaValue>,
  ): JinjaValue {
    this.budget.step();
    return filtered(name, value, args, named, this);
  }

  test(name: string, value: JinjaValue, args: readonly JinjaValue[]): boolean {
    this.budget.step();
    return tested(name, value, args);
  }

  private run(nodes: readonly JinjaNode[], scope: Scope, out: string[]): Flow {
    for (const node of nodes) {
      const flow = this.execute(node, scope, out);
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  private execute(node: JinjaNode, scope: Scope, out: string[]): Flow {
    switch (node.type) {
      case 'If':
        this.budget.step();
        return this.run(isTruthy(this.evaluate(node.test, scope)) ? node.body : node.alternate, scope, out);
      case 'For':
        this.loop(node, scope, out);
        return 'next';
      case 'Set':
        this.set(node, scope);
        return 'next';
      case 'Macro':
        scope.set(node.name.value, this.macros.defined(node, scope));
        return 'next';
      case 'CallStatement':
        out.push(printedText(this.callBlock(node, scope)));
        return 'next';
      case 'FilterStatement':
        out.push(printedText(this.filterNode(node.filter, this.printed(node.body, new Scope(scope)), scope)));
        return 'next';
      case 'Break':
        return 'break';
      case 'Continue':
        return 'continue';
      case 'Comment':
        return 'next';
      default:
        out.push(printedText(this.evaluate(node, scope)));
        return 'next';
    }
  }

  private loop({ iterable, loopvar, body, defaultBlock }: For, scope: Scope, out: string[]): void {
    const [source, test] = iterable.type === 'SelectExpression' ? [iterable.lhs, iterable.test] : [iterable, null];
    const all = iterated(this.evaluate(source, scope));
    const items = test === null ? all : all.filter((item) => this.holdsFor(item, loopvar, test, scope));
    const state = new LoopState(items);
    let isThrough = false;
    for (const [index, item] of items.entries()) {
      this.budget.step(ITERATION_STEPS);
      state.enter(index);
      // Names that an iteration sets are gone in the next one.
      const inner = new Scope(scope);
      inner.set('loop', state.variable);
      this.assign(loopvar, item, inner);
      const flow = this.run(body, inner, out);
      if (flow === 'break') break;
      // In Jinja, the block after `else` runs unless an iteration reaches its end.
      if (flow === 'next') isThrough = true;
    }
    if (!isThrough) this.run(defaultBlock, new Scope(scope), out);
  }

  private holdsFor(item: JinjaValue, loopvar: JinjaNode, test: JinjaNode, scope: Scope): boolean {
    const inner = new Scope(scope);
    this.assign(loopvar, item, inner);
    return isTruthy(this.evaluate(test, inner));
  }

  private set({ assignee, value, body }: SetStatement, scope: Scope): void {
    const made = value === null ? this.printed(body, new Scope(scope)) : this.evaluate(value, scope);
    if (value !== null || assignee.type !== 'FilterExpression') this.assign(assignee, made, scope);
    else this.assign(assignee.operand, this.filterNode(assignee.filter, made, scope), scope);
  }

  private assign(target: JinjaNode, value: JinjaValue, scope: Scope): void {
    if (target.type === 'Identifier') {
      scope.set(target.value, value);
      return;
    }
    if (target.type === 'MemberExpression' && target.property.type === 'Identifier' && !target.computed) {
      const object = this.evaluate(target.object, scope);
      if (!(object instanceof Attributes && object.type === 'Namespace'))
        throw new TemplateError('cannot assign attribute on non-namespace object');
      object.fields.set(target.property.value, value);
      return;
    }
    if (target.type !== 'TupleLiteral') throw new TemplateError(`cannot assign to '${target.type}'`);
    const items = iterated(value);
    if (items.length !== target.value.length)
      throw new TemplateError(`cannot unpack ${items.length} values into ${target.value.length} names`);
    for (const [i, name] of target.value.entries()) this.assign(name, items[i]!, scope);
  }

  private callBlock({ call, callerArgs, body }: CallStatement, scope: Scope): JinjaValue {
    const caller = this.macros.bodyOf('caller', callerArgs ?? [], body, scope);
    const { args, named } = evaluatedArguments(this, call.args, scope);
    return this.called(this.evaluate(call.callee, scope), { args, named: new Map([...named, ['caller', caller]]) });
  }

  evaluate(node: JinjaNode, scope: Scope): JinjaValue {
    this.budget.step();
    switch (node.type) {
      case 'StringLiteral':
      case 'IntegerLiteral':
        return node.value;
      case 'FloatLiteral':
        return new Float(node.value);
      case 'ArrayLiteral':
        return this.budget.made(node.value.map((item) => this.evaluate(item, scope)));
      case 'TupleLiteral':
        return new Tuple(node.value.map((item) => this.evaluate(item, scope)));
      case 'ObjectLiteral':
        return this.dict(node.value, scope);
      case 'Identifier':
        return this.named(node, scope);
      case 'MemberExpression':
        return this.member(node, scope);
      case 'CallExpression':
        return this.called(this.evaluate(node.callee, scope), evaluatedArguments(this, node.args, scope));
      case 'BinaryExpression':
        return this.binary(node, scope);
      case 'UnaryExpression':
        return this.unary(node.operator.value, this.evaluate(node.argument, scope));
      case 'FilterExpression':
        return this.filterNode(node.filter, this.evaluate(node.operand, scope), scope);
      case 'TestExpression':
        return this.test(node.test.value, this.evaluate(node.operand, scope), []) !== node.negate;
      case 'SelectExpression':
        return this.conditional(node.test, node.lhs, null, scope);
      case 'Ternary':
        return this.conditional(node.condition, node.trueExpr, node.falseExpr, scope);
      default:
        throw new TemplateError(`'${node.type}' is not an expression`);
    }
  }

  private dict(entries: ReadonlyMap<JinjaNode, JinjaNode>, scope: Scope): JinjaValue {
    const made = new Map<Key, JinjaValue>();
    for (const [name, value] of entries) {
      const key = this.evaluate(name, scope);
      if ((typeof key === 'boolean' || key instanceof Float) && !made.has(keyOf(key)))
        throw new TemplateError(`keys of the type ${typeName(key)} are not supported`);
      made.set(keyOf(key), this.evaluate(value, scope));
    }
    return made;
  }

  private named({ value: name }: Identifier, scope: Scope): JinjaValue {
    const constant = CONSTANTS.get(name);
    return constant === undefined ? scope.get(name) : constant;
  }

  private member({ object, property, computed }: MemberExpression, scope: Scope): JinjaValue {
    const of = this.evaluate(object, scope);
    if (property.type === 'SliceExpression') {
      const { start, stop, step } = property;
      const bounds = [start, stop, step].map((bound) =>
        bound === undefined ? undefined : this.evaluate(bound, scope),
      );
      return this.budget.made(sliceOf(of, bounds));
    }
    if (!computed && property.type === 'Identifier') return fieldOf(of, property.value, this.budget);
    return itemOf(of, this.evaluate(property, scope), this.budget);
  }

  private called(callee: JinjaValue, { args, named }: Arguments): JinjaValue {
    if (callee instanceof Undefined) throw new TemplateError(callee.why);
    if (!(callee instanceof Callable)) throw new TemplateError(`'${typeName(callee)}' object is not callable`);
    return this.budget.made(callee.call(args, named));
  }

  private binary(node: Binary, scope: Scope): JinjaValue {
    const {
      operator: { value: operator },
      left,
      right,
    } = node;
    if (operator.startsWith(CHAINED)) return this.comparison(node, scope).result;
    const first = this.evaluate(left, scope);
    if (operator === 'and') return isTruthy(first) ? this.evaluate(right, scope) : first;
    if (operator === 'or') return isTruthy(first) ? first : this.evaluate(right, scope);
    return operated(operator, first, this.evaluate(right, scope), this.budget);
  }

  /** The result of comparisons in a row, and the last value that was compared. */
  private comparison({ operator, left, right }: Binary, scope: Scope): { result: JinjaValue; last: JinjaValue } {
    const isChained = operator.value.startsWith(CHAINED);
    const before = isChained ? this.comparison(left as Binary, scope) : null;
    if (before !== null && !isTruthy(before.result)) return before;
    const first = before === null ? this.evaluate(left, scope) : before.last;
    const last = this.evaluate(right, scope);
    const own = isChained ? operator.value.slice(CHAINED.length) : operator.value;
    return { result: operated(own, first, last, this.budget), last };
  }

  private unary(operator: string, value: JinjaValue): JinjaValue {
    return operator === 'not' ? !isTruthy(value) : negated(value, operator);
  }

  private filterNode(filter: Identifier | CallExpression, value: JinjaValue, scope: Scope): JinjaValue {
    if (filter.type === 'Identifier' && filter.value === TUPLE_FILTER) return new Tuple(iterated(value));
    if (filter.type === 'Identifier') return this.filter(filter.value, value, [], new Map());
    const { callee, args: nodes } = filter;
    if (callee.type !== 'Identifier') throw new TemplateError('a filter must be a name');
    const { args, named } = evaluatedArguments(this, nodes, scope);
    const { value: name } = callee;
    if (name.startsWith(NEGATED_TEST_PREFIX)) return !this.test(name.slice(NEGATED_TEST_PREFIX.length), value, args);
    if (name.startsWith(TEST_PREFIX)) return this.test(name.slice(TEST_PREFIX.length), value, args);
    return this.filter(name, value, args, named);
  }

  private conditional(test: JinjaNode, then: JinjaNode, otherwise: JinjaNode | null, scope: Scope): JinjaValue {
    if (isTruthy(this.evaluate(test, scope))) return this.evaluate(then, scope);
    if (otherwise !== null) return this.evaluate(otherwise, scope);
    return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
  }
}
