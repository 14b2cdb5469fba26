import type { z } from 'zod';

/** What can be said to a kind of actor: ask, tell and stream, typed and checked. */

/**
 * The methods of a kind of actor. A protocol is a value that types references and behaviors, and checks every message that arrives.
 *
 *     const Counter = defineProtocol('counter', {
 *       add: tell(z.strictObject({ amount: z.int() })),
 *       total: ask(z.strictObject({}), z.int()),
 *     });
 */
export interface Protocol<M extends Methods = Methods> {
  readonly name: string;
  readonly methods: M;
}

export type Methods = Readonly<Record<string, Method>>;
type Method = AskMethod | TellMethod | StreamMethod;

/** One request, one answer. */
export interface AskMethod<Req extends z.ZodType = z.ZodType, Res extends z.ZodType = z.ZodType> {
  readonly kind: 'ask';
  readonly request: Req;
  readonly response: Res;
}

/** One request without an answer. The request may be lost without an error at the sender. */
export interface TellMethod<Req extends z.ZodType = z.ZodType> {
  readonly kind: 'tell';
  readonly request: Req;
}

/** One request, any number of items. */
export interface StreamMethod<Req extends z.ZodType = z.ZodType, Item extends z.ZodType = z.ZodType> {
  readonly kind: 'stream';
  readonly request: Req;
  readonly item: Item;
}

export function defineProtocol<const M extends Methods>(name: string, methods: M): Protocol<M> {
  return { name, methods };
}

export function ask<Req extends z.ZodType, Res extends z.ZodType>(request: Req, response: Res): AskMethod<Req, Res> {
  return { kind: 'ask', request, response };
}

export function tell<Req extends z.ZodType>(request: Req): TellMethod<Req> {
  return { kind: 'tell', request };
}

export function stream<Req extends z.ZodType, Item extends z.ZodType>(
  request: Req,
  item: Item,
): StreamMethod<Req, Item> {
  return { kind: 'stream', request, item };
}

/** A handler's view of the call that it handles. */
export interface Call {
  /** Aborts when the caller cancels or is lost, the deadline passes, or this actor ends; for a tell only the last. The reason is a ShoalError. */
  readonly signal: AbortSignal;
  /** Time left until the caller's deadline; null without one. */
  readonly deadlineMs: number | null;
  /** Milliseconds from the arrival of the call to the beginning of its handler. */
  readonly waitedMs: number;
  /** Node of the caller. */
  readonly from: string;
  /** Incarnation of that node: the process, and no later one of the same name. */
  readonly incarnation: string;
  /** The `traceparent` of the caller's part of a trace; null without one. */
  readonly trace: string | null;
}

/**
 * The actor itself: an object (or an instance of a class) with a handler for each method. It handles one message at a time: the
 * next one waits until the handler's promise is settled. A `stream` handler is done when it has returned its iterable, which then
 * runs concurrently with later messages.
 *
 * The caller receives an error that a handler throws. InternalError, and any error that is not a ShoalError, also crashes the actor.
 */
export type Behavior<P extends Protocol> = { [K in keyof P['methods']]: Handler<P['methods'][K]> };

type Handler<M extends Method> =
  M extends AskMethod<infer Req, infer Res>
    ? (request: z.output<Req>, call: Call) => z.input<Res> | Promise<z.input<Res>>
    : M extends StreamMethod<infer Req, infer Item>
      ? (request: z.output<Req>, call: Call) => AsyncIterable<z.input<Item>> | Promise<AsyncIterable<z.input<Item>>>
      : M extends TellMethod<infer Req>
        ? (request: z.output<Req>, call: Call) => void | Promise<void>
        : never;

type MethodsOf<P extends Protocol, Kind extends Method['kind']> = {
  [K in keyof P['methods']]: P['methods'][K]['kind'] extends Kind ? K : never;
}[keyof P['methods']] &
  string;

export type AskNames<P extends Protocol> = MethodsOf<P, 'ask'>;
export type TellNames<P extends Protocol> = MethodsOf<P, 'tell'>;
export type StreamNames<P extends Protocol> = MethodsOf<P, 'stream'>;

export type RequestOf<P extends Protocol, K extends keyof P['methods']> = z.input<P['methods'][K]['request']>;
export type ResponseOf<P extends Protocol, K extends keyof P['methods']> =
  P['methods'][K] extends AskMethod<z.ZodType, infer Res> ? z.output<Res> : never;
export type ItemOf<P extends Protocol, K extends keyof P['methods']> =
  P['methods'][K] extends StreamMethod<z.ZodType, infer Item> ? z.output<Item> : never;
