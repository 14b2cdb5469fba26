import { Corrupt, ERROR_CODES, type ErrorCode, type WireError } from '../errors.js';
import { ACTOR_NAME_CHARS, CALLS_IN_FLIGHT, STREAM_WINDOW_ITEMS } from '../limits.js';
import { TRACEPARENT_CHARS } from '../trace/traceparent.js';
import { decode, encode } from '../wire/msgpack.js';
import { type AnswerMessage, type LookupMessage, type NodeAddress, type NodeMessage, unpackItem } from './envelope.js';

/**
 * Messages between nodes, as `docs/PEER-PROTOCOL.md` specifies them: an array of a number for its type, and its fields in a fixed order. Arrays
 * cost less than maps to pack and to check. The sender is not among the fields, because a link has proved it; over the bus it goes before them.
 */

/** A message with its addressee: the node, one of the node's calls, or (for a look-up) the actor of that name. */
export type LinkedMessage =
  | { readonly to: 'node'; readonly message: NodeMessage }
  | { readonly to: 'call'; readonly id: number; readonly message: AnswerMessage }
  | { readonly to: 'all'; readonly message: LookupMessage };

const CALL = 1;
const CANCEL = 2;
const CREDIT = 3;
const PROBE = 4;
const ALIVE = 5;
const ANSWER = 6;
const FAILURE = 7;
const ITEMS = 8;
const END = 9;
const LOOKUP = 10;
const HERE = 11;

const KINDS = ['ask', 'tell', 'stream'] as const;
const KNOWN_CODES: ReadonlySet<unknown> = new Set(ERROR_CODES);

/**
 * Packs a message for a direct link.
 * @throws InternalError if a value in the message cannot be encoded
 */
export function packLinked(linked: LinkedMessage): Uint8Array {
  return encode(fieldsOf(linked));
}

/** Packs a message for the bus. Throws the errors of `packLinked`. */
export function packForBus(linked: LinkedMessage, { node, incarnation }: NodeAddress): Uint8Array {
  return encode([node, incarnation, fieldsOf(linked)]);
}

function fieldsOf(linked: LinkedMessage): unknown[] {
  if (linked.to === 'node') return nodeFields(linked.message);
  if (linked.to === 'call') return answerFields(linked.id, linked.message);
  const { id, protocol, actor } = linked.message;
  return [LOOKUP, id, protocol, actor];
}

function nodeFields(message: NodeMessage): unknown[] {
  switch (message.type) {
    case 'call': {
      const { id, actor, protocol, method, kind, deadlineMs, request, trace } = message;
      const fields = [CALL, id, actor, protocol, method, KINDS.indexOf(kind), deadlineMs, request];
      return trace === undefined ? fields : [...fields, trace];
    }
    case 'cancel':
      return [CANCEL, message.id];
    case 'credit':
      return [CREDIT, message.id, message.read];
    case 'probe':
      return [PROBE, message.calls];
    case 'alive':
      return [ALIVE, message.calls];
  }
}

function answerFields(id: number, message: AnswerMessage): unknown[] {
  switch (message.type) {
    case 'answer':
      return [ANSWER, id, message.value];
    case 'failure':
      return [FAILURE, id, message.error.code, message.error.message, message.error.param ?? null];
    case 'items':
      return [ITEMS, id, message.first, message.items];
    case 'end':
      return [END, id, message.items];
    case 'here':
      return [HERE, id];
  }
}

/** Decodes and checks a message that came from `peer` over a direct link. Throws Corrupt if it is malformed. */
export function unpackLinked(bytes: Uint8Array, peer: NodeAddress): LinkedMessage {
  return new Fields(arrayOf(decode(bytes)), peer).message();
}

/** Decodes and checks a message that came over the bus. Returns it and its sender. Throws Corrupt if it is malformed. */
export function unpackFromBus(bytes: Uint8Array): { from: NodeAddress; linked: LinkedMessage } {
  const [node, incarnation, fields, ...more] = arrayOf(decode(bytes));
  if (!isName(node) || !isName(incarnation) || more.length > 0) throw new Corrupt('a message has no sender');
  const from = { node, incarnation };
  return { from, linked: new Fields(arrayOf(fields), from).message() };
}

function arrayOf(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Corrupt('a message between nodes is not an array');
  return value;
}

/** The fields of one message. Each is checked as it is read. */
class Fields {
  private at = 0;

  constructor(
    private readonly fields: readonly unknown[],
    private readonly from: NodeAddress,
  ) {}

  message(): LinkedMessage {
    const message = this.read();
    if (this.at !== this.fields.length) throw new Corrupt('a message between nodes has more fields than its type');
    return message;
  }

  private read(): LinkedMessage {
    const { from } = this;
    const type = this.count();
    switch (type) {
      case CALL:
        return { to: 'node', message: this.call() };
      case CANCEL:
        return { to: 'node', message: { type: 'cancel', from, id: this.id() } };
      case CREDIT:
        return { to: 'node', message: { type: 'credit', from, id: this.id(), read: this.count() } };
      case PROBE:
        return { to: 'node', message: { type: 'probe', from, calls: this.calls(isCount) } };
      case ALIVE:
        return { to: 'node', message: { type: 'alive', from, calls: this.calls(isCountOrNull) } };
      case LOOKUP:
        return { to: 'all', message: { id: this.id(), from, protocol: this.name(), actor: this.name() } };
      default:
        return { to: 'call', id: this.id(), message: this.answer(type) };
    }
  }

  private call(): Extract<NodeMessage, { type: 'call' }> {
    return {
      type: 'call',
      id: this.id(),
      from: this.from,
      actor: this.name(),
      protocol: this.name(),
      method: this.name(),
      kind: this.kind(),
      deadlineMs: this.deadlineMs(),
      request: this.next(),
      // A release without traces sends none, and takes none.
      ...(this.at < this.fields.length ? { trace: this.trace() } : {}),
    };
  }

  private answer(type: number): AnswerMessage {
    switch (type) {
      case ANSWER:
        return { type: 'answer', value: this.next() };
      case FAILURE:
        return { type: 'failure', error: this.error() };
      case ITEMS:
        return { type: 'items', first: this.count(), items: this.list(STREAM_WINDOW_ITEMS).map(unpackItem) };
      case END:
        return { type: 'end', items: this.count() };
      case HERE:
        return { type: 'here', from: this.from };
    }
    throw new Corrupt(`a message between nodes has type ${type}, which does not exist`);
  }

  /** The next field, of any type. */
  private next(): unknown {
    if (this.at === this.fields.length) throw new Corrupt('a message between nodes has fewer fields than its type');
    return this.fields[this.at++];
  }

  private id(): number {
    const id = this.count();
    if (id === 0) throw new Corrupt('a message between nodes has call 0; the first call is 1');
    return id;
  }

  private count(): number {
    const value = this.next();
    return isCount(value) ? value : this.wrong('a whole number');
  }

  private name(): string {
    const value = this.next();
    return isName(value) ? value : this.wrong('a name');
  }

  private kind(): (typeof KINDS)[number] {
    return KINDS[this.count()] ?? this.wrong('a kind of call');
  }

  private trace(): string {
    const value = this.next();
    return typeof value === 'string' && value.length === TRACEPARENT_CHARS ? value : this.wrong('a traceparent');
  }

  private deadlineMs(): number | null {
    const value = this.next();
    const right = value === null || (typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY);
    return right ? value : this.wrong('a time');
  }

  private error(): WireError {
    const [code, message, param] = [this.next(), this.next(), this.next()];
    if (!KNOWN_CODES.has(code) || typeof message !== 'string') return this.wrong('an error');
    if (param !== null && typeof param !== 'string') return this.wrong('the name of a field');
    return { code: code as ErrorCode, message, ...(param === null ? {} : { param }) };
  }

  private list(limit: number): unknown[] {
    const value = this.next();
    return Array.isArray(value) && value.length <= limit ? value : this.wrong(`a list of at most ${limit}`);
  }

  /** Pairs of a call and a number of items. */
  private calls<N>(isNumber: (value: unknown) => value is N): [number, N][] {
    return this.list(CALLS_IN_FLIGHT).map((pair) => {
      const right = Array.isArray(pair) && pair.length === 2 && isCount(pair[0]) && pair[0] > 0 && isNumber(pair[1]);
      return right ? [pair[0], pair[1]] : this.wrong('a call');
    });
  }

  private wrong(expected: string): never {
    throw new Corrupt(`field ${this.at - 1} of a message between nodes is not ${expected}`);
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= ACTOR_NAME_CHARS;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isCountOrNull(value: unknown): value is number | null {
  return value === null || isCount(value);
}
