import * as jinja from '@huggingface/jinja';
import { withChains } from './comparisons.js';
import { prepared } from './source.js';
import { withTestArguments } from './test-arguments.js';
import type { Token } from './token.js';
import { withTuples } from './tuples.js';
import { TemplateError } from './values.js';

/** Parses Jinja; the only file that imports @huggingface/jinja. Its interpreter is not used: it computes in many ways as JavaScript does. */

interface Of<T extends string> {
  readonly type: T;
}
interface Literal<T extends string, V> extends Of<T> {
  readonly value: V;
}

export type Identifier = Literal<'Identifier', string>;
export interface CallExpression extends Of<'CallExpression'> {
  readonly callee: JinjaNode;
  readonly args: readonly JinjaNode[];
}
interface KeywordArgument extends Of<'KeywordArgumentExpression'> {
  readonly key: Identifier;
  readonly value: JinjaNode;
}
interface Slice extends Of<'SliceExpression'> {
  readonly start?: JinjaNode;
  readonly stop?: JinjaNode;
  readonly step?: JinjaNode;
}
export interface For extends Of<'For'> {
  readonly loopvar: JinjaNode;
  readonly iterable: JinjaNode;
  readonly body: readonly JinjaNode[];
  readonly defaultBlock: readonly JinjaNode[];
}
export interface SetStatement extends Of<'Set'> {
  readonly assignee: JinjaNode;
  readonly value: JinjaNode | null;
  readonly body: readonly JinjaNode[];
}
export interface Macro extends Of<'Macro'> {
  readonly name: Identifier;
  readonly args: readonly MacroParameter[];
  readonly body: readonly JinjaNode[];
}
export interface CallStatement extends Of<'CallStatement'> {
  readonly call: CallExpression;
  readonly callerArgs: readonly MacroParameter[] | null;
  readonly body: readonly JinjaNode[];
}
export interface MemberExpression extends Of<'MemberExpression'> {
  readonly object: JinjaNode;
  readonly property: JinjaNode;
  readonly computed: boolean;
}
export interface Binary extends Of<'BinaryExpression'> {
  readonly operator: Token;
  readonly left: JinjaNode;
  readonly right: JinjaNode;
}
export type MacroParameter = Identifier | KeywordArgument;

/** A statement or an expression. Plain text is a `StringLiteral`. */
export type JinjaNode =
  | (Of<'Program'> & { readonly body: readonly JinjaNode[] })
  | (Of<'If'> & {
      readonly test: JinjaNode;
      readonly body: readonly JinjaNode[];
      readonly alternate: readonly JinjaNode[];
    })
  | For
  | Of<'Break'>
  | Of<'Continue'>
  | SetStatement
  | Macro
  | Of<'Comment'>
  | MemberExpression
  | CallExpression
  | Identifier
  | Literal<'IntegerLiteral', number>
  | Literal<'FloatLiteral', number>
  | Literal<'StringLiteral', string>
  | Literal<'ArrayLiteral', readonly JinjaNode[]>
  | Literal<'TupleLiteral', readonly JinjaNode[]>
  | Literal<'ObjectLiteral', ReadonlyMap<JinjaNode, JinjaNode>>
  | Binary
  | (Of<'FilterExpression'> & { readonly operand: JinjaNode; readonly filter: Identifier | CallExpression })
  | (Of<'FilterStatement'> & { readonly filter: Identifier | CallExpression; readonly body: readonly JinjaNode[] })
  | (Of<'SelectExpression'> & { readonly lhs: JinjaNode; readonly test: JinjaNode })
  | (Of<'TestExpression'> & { readonly operand: JinjaNode; readonly negate: boolean; readonly test: Identifier })
  | (Of<'UnaryExpression'> & { readonly operator: Token; readonly argument: JinjaNode })
  | Slice
  | KeywordArgument
  | (Of<'SpreadExpression'> & { readonly argument: JinjaNode })
  | (Of<'KeywordSpreadExpression'> & { readonly argument: JinjaNode })
  | CallStatement
  | (Of<'Ternary'> & { readonly condition: JinjaNode; readonly trueExpr: JinjaNode; readonly falseExpr: JinjaNode });

/** The part of the library that is used here. Its own declarations of these names do not resolve from ECMAScript modules. */
interface Library {
  tokenize(source: string, options: object): readonly Token[];
  parse(tokens: readonly Token[]): { readonly body: readonly JinjaNode[] };
}

const { tokenize, parse } = jinja as unknown as Library;

export interface ParsedTemplate {
  readonly body: readonly JinjaNode[];
  readonly tokens: readonly Token[];
}

/** @throws an error of the library if the source is not valid Jinja */
export function parseTemplate(source: string): ParsedTemplate {
  // The library applies `trim_blocks` and `lstrip_blocks` within strings too, so that is done before.
  const tokens = tokenize(prepared(source), {});
  const large = tokens.find(({ type, value }) => type === 'NumericLiteral' && isLargeInteger(value));
  if (large !== undefined) throw new TemplateError(`the integer ${large.value} is too large`);
  return { tokens, body: parse(withChains(withTuples(withTestArguments(tokens)))).body };
}

/** Whether JavaScript cannot represent this integer. */
function isLargeInteger(literal: string): boolean {
  return !literal.includes('.') && !Number.isSafeInteger(Number(literal));
}
