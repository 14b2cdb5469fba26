import { InvalidRequest } from '../../errors.js';
import { type GrammarNode, parseGrammar } from './grammar-syntax.js';
import { type Program, ProgramBuilder } from './program.js';
import { addRegex, addRepeat } from './regex-states.js';
import type { Regex } from './regex-syntax.js';

/** The program of a context-free grammar: each rule is a part that others call. */

/** Rules of one grammar. */
const RULES = 1_024;

/** @throws InvalidRequest, without the name of a field, for a grammar that cannot be honoured */
export function compileGrammar(source: string): Program {
  const { root, rules } = parseGrammar(source);
  if (rules.size > RULES) throw new InvalidRequest(`must have at most ${RULES} rules, got ${rules.size}`);
  checkNames(rules);
  checkLeftRecursion(rules);
  const program = new GrammarWriter(rules).write(root);
  if (program === null) throw new InvalidRequest('no text can satisfy it');
  return program;
}

type Rules = ReadonlyMap<string, GrammarNode>;

class GrammarWriter {
  private readonly builder = new ProgramBuilder();
  /** By rule: its first and its last state. */
  private readonly states = new Map<string, { readonly first: number; readonly last: number }>();
  private readonly waiting: string[] = [];

  constructor(private readonly rules: Rules) {}

  write(root: string): Program | null {
    this.builder.epsilon(0, this.stateOf(root));
    for (let name = this.waiting.pop(); name !== undefined; name = this.waiting.pop()) {
      const { first, last } = this.states.get(name)!;
      this.builder.final(last);
      this.add(this.rules.get(name)!, first, last, true);
    }
    return this.builder.build();
  }

  /** The first state of a rule, which is written once it is needed. */
  private stateOf(name: string): number {
    const known = this.states.get(name);
    if (known !== undefined) return known.first;
    const own = { first: this.builder.state(), last: this.builder.state() };
    this.states.set(name, own);
    this.waiting.push(name);
    return own.first;
  }

  /** @param isLast whether `to` is the end of the rule, where another rule may end in its place: lists that are written as recursive rules then take no depth */
  private add(node: GrammarNode, from: number, to: number, isLast: boolean): void {
    const { builder } = this;
    switch (node.type) {
      case 'text':
        builder.text(from, node.text, to);
        return;
      case 'regex':
        addRegex(builder, node.regex, from, to, (start, set, end) => builder.chars(start, set, end));
        return;
      case 'rule':
        if (isLast) builder.epsilon(from, this.stateOf(node.name));
        else builder.call(from, this.stateOf(node.name), to);
        return;
      case 'choice':
        for (const option of node.options) this.add(option, from, to, isLast);
        return;
      case 'sequence':
        this.addSequence(node.items, from, to, isLast);
        return;
      case 'repeat':
        if (node.min === 0 && node.max === 1) {
          builder.epsilon(from, to);
          this.add(node.item, from, to, isLast);
        } else addRepeat(builder, node, from, to, (start, end) => this.add(node.item, start, end, false));
    }
  }

  private addSequence(items: readonly GrammarNode[], from: number, to: number, isLast: boolean): void {
    if (items.length === 0) this.builder.epsilon(from, to);
    let at = from;
    for (const [i, item] of items.entries()) {
      const end = i === items.length - 1;
      const next = end ? to : this.builder.state();
      this.add(item, at, next, end && isLast);
      at = next;
    }
  }
}

function checkNames(rules: Rules): void {
  const visit = (node: GrammarNode): void => {
    if (node.type === 'rule' && !rules.has(node.name)) throw new InvalidRequest(`has no rule '${node.name}'`);
    for (const part of partsOf(node)) visit(part);
  };
  for (const node of rules.values()) visit(node);
}

function partsOf(node: GrammarNode): readonly GrammarNode[] {
  if (node.type === 'sequence') return node.items;
  if (node.type === 'choice') return node.options;
  return node.type === 'repeat' ? [node.item] : [];
}

/** A rule that may begin with itself would call itself for ever. */
function checkLeftRecursion(rules: Rules): void {
  const empty = emptyRules(rules);
  const done = new Set<string>();
  const open = new Set<string>();
  const visit = (name: string): void => {
    if (done.has(name)) return;
    if (open.has(name))
      throw new InvalidRequest(`the rule '${name}' may begin with itself; put what it repeats first, or use * or +`);
    open.add(name);
    for (const next of firstRules(rules.get(name)!, empty)) visit(next);
    open.delete(name);
    done.add(name);
  };
  for (const name of rules.keys()) visit(name);
}

/** The rules that may match the empty text: the least solution. */
function emptyRules(rules: Rules): ReadonlySet<string> {
  const empty = new Set<string>();
  for (let before = -1; before !== empty.size; ) {
    before = empty.size;
    for (const [name, node] of rules) if (mayBeEmpty(node, empty)) empty.add(name);
  }
  return empty;
}

function mayBeEmpty(node: GrammarNode, empty: ReadonlySet<string>): boolean {
  switch (node.type) {
    case 'text':
      return node.text === '';
    case 'regex':
      return matchesNothing(node.regex);
    case 'rule':
      return empty.has(node.name);
    case 'sequence':
      return node.items.every((item) => mayBeEmpty(item, empty));
    case 'choice':
      return node.options.some((option) => mayBeEmpty(option, empty));
    case 'repeat':
      return node.min === 0 || mayBeEmpty(node.item, empty);
  }
}

/** Whether the empty text matches. */
function matchesNothing(regex: Regex): boolean {
  switch (regex.type) {
    case 'chars':
      return false;
    case 'edge':
      return true;
    case 'sequence':
      return regex.items.every(matchesNothing);
    case 'choice':
      return regex.options.some(matchesNothing);
    case 'repeat':
      return regex.min === 0 || matchesNothing(regex.item);
  }
}

/** The rules with which a text of `node` may begin. */
function firstRules(node: GrammarNode, empty: ReadonlySet<string>): string[] {
  switch (node.type) {
    case 'rule':
      return [node.name];
    case 'sequence': {
      const end = node.items.findIndex((item) => !mayBeEmpty(item, empty));
      const first = end === -1 ? node.items : node.items.slice(0, end + 1);
      return first.flatMap((item) => firstRules(item, empty));
    }
    default:
      return partsOf(node).flatMap((part) => firstRules(part, empty));
  }
}
