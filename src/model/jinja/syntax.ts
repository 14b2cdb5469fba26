import * as jinja from '@huggingface/jinja';
import { prepared } from './source.js';
import { withTestArguments } from './test-arguments.js';
import type { Token } from './token.js';

/** Parses Jinja; the only file that imports @huggingface/jinja. Its interpreter is not used: it computes in many ways as JavaScript does. */

interface Of<T extends string> {
  readonly type: T;
}
interface Literal<T extends string, V> extends Of<T> {
  readonly value: V;
}

export type Identifier = Literal<'Identifier', string>;
export interface Call extends Of<'CallExpression'> {
  readonly callee: Node;
  readonly args: readonly Node[];
}
export interface KeywordArgument extends Of<'KeywordArgumentExpression'> {
  readonly key: Identifier;
  readonly value: Node;
}
export interface Slice extends Of<'SliceExpression'> {
  readonly start?: Node;
  readonly stop?: Node;
  readonly step?: Node;
}
export interface For extends Of<'For'> {
  readonly loopvar: Node;
  readonly iterable: Node;
  readonly body: readonly Node[];
  readonly defaultBlock: readonly Node[];
}
export interface SetStatement extends Of<'Set'> {
  readonly assignee: Node;
  readonly value: Node | null;
  readonly body: readonly Node[];
}
export interface Macro extends Of<'Macro'> {
  readonly name: Identifier;
  readonly args: readonly Parameter[];
  readonly body: readonly Node[];
}
export interface CallStatement extends Of<'CallStatement'> {
  readonly call: Call;
  readonly callerArgs: readonly Parameter[] | null;
  readonly body: readonly Node[];
}
export interface Member extends Of<'MemberExpression'> {
  readonly object: Node;
  readonly property: Node;
  readonly computed: boolean;
}
export interface Binary extends Of<'BinaryExpression'> {
  readonly operator: Token;
  readonly left: Node;
  readonly right: Node;
}
export type Parameter = Identifier | KeywordArgument;

/** A statement or an expression. Plain text is a `StringLiteral`. */
export type Node =
  | (Of<'Program'> & { readonly body: readonly Node[] })
  | (Of<'If'> & { readonly test: Node; readonly body: readonly Node[]; readonly alternate: readonly Node[] })
  | For
  | Of<'Break'>
  | Of<'Continue'>
  | SetStatement
  | Macro
  | Of<'Comment'>
  | Member
  | Call
  | Identifier
  | Literal<'IntegerLiteral', number>
  | Literal<'FloatLiteral', number>
  | Literal<'StringLiteral', string>
  | Literal<'ArrayLiteral', readonly Node[]>
  | Literal<'TupleLiteral', readonly Node[]>
  | Literal<'ObjectLiteral', ReadonlyMap<Node, Node>>
  | Binary
  | (Of<'FilterExpression'> & { readonly operand: Node; readonly filter: Identifier | Call })
  | (Of<'FilterStatement'> & { readonly filter: Identifier | Call; readonly body: readonly Node[] })
  | (Of<'SelectExpression'> & { readonly lhs: Node; readonly test: Node })
  | (Of<'TestExpression'> & { readonly operand: Node; readonly negate: boolean; readonly test: Identifier })
  | (Of<'UnaryExpression'> & { readonly operator: Token; readonly argument: Node })
  | Slice
  | KeywordArgument
  | (Of<'SpreadExpression'> & { readonly argument: Node })
  | (Of<'KeywordSpreadExpression'> & { readonly argument: Node })
  | CallStatement
  | (Of<'Ternary'> & { readonly condition: Node; readonly trueExpr: Node; readonly falseExpr: Node });

/** The part of the library that is used here. Its own declarations of these names do not resolve from ECMAScript modules. */
interface Library {
  tokenize(source: string, options: object): readonly Token[];
  parse(tokens: readonly Token[]): { readonly body: readonly Node[] };
}

const { tokenize, parse } = jinja as unknown as Library;

export interface ParsedTemplate {
  readonly body: readonly Node[];
  readonly tokens: readonly Token[];
}

/** @throws an error of the library if the source is not valid Jinja */
export function parseTemplate(source: string): ParsedTemplate {
  // The library applies `trim_blocks` and `lstrip_blocks` within strings too, so that is done before.
  const tokens = tokenize(prepared(source), {});
  return { tokens, body: parse(withTestArguments(tokens)).body };
}
