import { z } from 'zod';
import { Corrupt, ERROR_CODES, type WireError } from '../errors.js';
import { ACTOR_NAME_CHARS, CALLS_IN_FLIGHT, STREAM_WINDOW_ITEMS } from '../limits.js';
import { decode } from '../wire/msgpack.js';

/** The messages between nodes, with their schemas. An actor's protocol checks its requests, answers and items. */

const Name = z.string().min(1).max(ACTOR_NAME_CHARS);
const Count = z.int().min(0);
/** ID of a call, assigned by its caller and unique within the caller's incarnation. */
const CallId = z.int().min(1);

/** One incarnation of a node. */
export const NodeAddress = z.strictObject({ node: Name, incarnation: Name });
export type NodeAddress = z.infer<typeof NodeAddress>;

export interface ActorAddress extends NodeAddress {
  readonly actor: string;
}

const CallMessage = z.strictObject({
  type: z.literal('call'),
  id: CallId,
  from: NodeAddress,
  protocol: Name,
  actor: Name,
  method: Name,
  kind: z.enum(['ask', 'tell', 'stream']),
  /** Time left until the deadline when the message is sent, since clocks of machines differ; null for no deadline. */
  deadlineMs: z.number().min(0).nullable(),
  request: z.unknown(),
});
export type CallMessage = z.infer<typeof CallMessage>;

/** A message to a node: from the caller to the actor's node, except `alive`, which answers a probe. */
export const NodeMessage = z.discriminatedUnion('type', [
  CallMessage,
  z.strictObject({ type: z.literal('cancel'), id: CallId, from: NodeAddress }),
  /** The reader has consumed `read` items of the stream in total. */
  z.strictObject({ type: z.literal('credit'), id: CallId, from: NodeAddress, read: Count }),
  /** All open calls of a caller to this node, each with the number of items read. Keeps the calls alive. */
  z.strictObject({
    type: z.literal('probe'),
    from: NodeAddress,
    calls: z.array(z.tuple([CallId, Count])).max(CALLS_IN_FLIGHT),
  }),
  /** The probed calls, each with the number of items sent; null for an unknown call. */
  z.strictObject({
    type: z.literal('alive'),
    from: NodeAddress,
    calls: z.array(z.tuple([CallId, Count.nullable()])).max(CALLS_IN_FLIGHT),
  }),
]);
export type NodeMessage = z.infer<typeof NodeMessage>;

const WireErrorMessage: z.ZodType<WireError> = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  param: z.string().optional(),
});

/** A message to one call. The call's ID travels beside the message: in the subject, or in the frame of a direct link. */
export const AnswerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('answer'), value: z.unknown() }),
  z.strictObject({ type: z.literal('failure'), error: WireErrorMessage }),
  /** Items of a stream; `first` is the index of the first one, from 0. Between nodes, each item is packed separately. */
  z.strictObject({ type: z.literal('items'), first: Count, items: z.array(z.unknown()).max(STREAM_WINDOW_ITEMS) }),
  z.strictObject({ type: z.literal('end'), items: Count }),
  /** Answer to a look-up. */
  z.strictObject({ type: z.literal('here'), from: NodeAddress }),
]);
export type AnswerMessage = z.infer<typeof AnswerMessage>;

/** A look-up of an actor by name, sent to all nodes. */
export const LookupMessage = z.strictObject({ id: CallId, from: NodeAddress, protocol: Name, actor: Name });
export type LookupMessage = z.infer<typeof LookupMessage>;

/** Checks an answer from another node, and unpacks its items. Throws if the answer is malformed. */
export function unpackAnswer(value: unknown): AnswerMessage {
  const message = AnswerMessage.parse(value);
  return message.type === 'items' ? { ...message, items: message.items.map(unpackItem) } : message;
}

/** Decodes one item of a stream. Throws if it is not packed. */
export function unpackItem(content: unknown): unknown {
  if (!(content instanceof Uint8Array)) throw new Corrupt('an item of a stream is not packed');
  return decode(content);
}

export function sameNode(a: NodeAddress, b: NodeAddress): boolean {
  return a.node === b.node && a.incarnation === b.incarnation;
}

export function nodeKey(address: NodeAddress): string {
  return `${address.node}\n${address.incarnation}`;
}
