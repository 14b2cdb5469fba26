import { z } from 'zod';
import type { WireError } from '../errors.js';
import { ACTOR_NAME_CHARS, CALLS_IN_FLIGHT, STREAM_WINDOW_ITEMS } from '../limits.js';

/** What nodes say to each other, and its checkers. Requests, answers and items are checked by the protocol of the actor. */

const Name = z.string().min(1).max(ACTOR_NAME_CHARS);
const Count = z.int().min(0);
/** Of a call, given by its caller; unique within the caller's incarnation. */
const CallId = z.int().min(1);

/** One life of a node. */
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
  /** What is left of it when the message is sent: clocks of machines differ. */
  deadlineMs: z.number().min(0).nullable(),
  request: z.unknown(),
});
export type CallMessage = z.infer<typeof CallMessage>;

/** To the node of an actor, or (`alive`) back to the one that probed. */
export const NodeMessage = z.discriminatedUnion('type', [
  CallMessage,
  z.strictObject({ type: z.literal('cancel'), id: CallId, from: NodeAddress }),
  /** The reader has taken `read` items out of the stream, in all. */
  z.strictObject({ type: z.literal('credit'), id: CallId, from: NodeAddress, read: Count }),
  /** All open calls of a caller to this node, with the items read: each of them is still wanted. */
  z.strictObject({
    type: z.literal('probe'),
    from: NodeAddress,
    calls: z.array(z.tuple([CallId, Count])).max(CALLS_IN_FLIGHT),
  }),
  /** The same calls with the number of items sent; null for a call that is not known here. */
  z.strictObject({
    type: z.literal('alive'),
    from: NodeAddress,
    calls: z.array(z.tuple([CallId, Count.nullable()])).max(CALLS_IN_FLIGHT),
  }),
]);
export type NodeMessage = z.infer<typeof NodeMessage>;

const WireErrorMessage: z.ZodType<WireError> = z.strictObject({
  code: z.enum(['invalid', 'overloaded', 'unavailable', 'cancelled', 'deadline', 'refused', 'corrupt', 'internal']),
  message: z.string(),
  param: z.string().optional(),
});

/** To the one call whose number the subject carries. */
export const AnswerMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('answer'), value: z.unknown() }),
  z.strictObject({ type: z.literal('failure'), error: WireErrorMessage }),
  /** Items of a stream, the first of which has the number `first`, counted from 0. Each is packed by itself on its way over the bus. */
  z.strictObject({ type: z.literal('items'), first: Count, items: z.array(z.unknown()).max(STREAM_WINDOW_ITEMS) }),
  z.strictObject({ type: z.literal('end'), items: Count }),
  /** Answer to a look-up. */
  z.strictObject({ type: z.literal('here'), from: NodeAddress }),
]);
export type AnswerMessage = z.infer<typeof AnswerMessage>;

/** To all nodes that have an actor of that name. */
export const LookupMessage = z.strictObject({ id: CallId, from: NodeAddress, protocol: Name, actor: Name });
export type LookupMessage = z.infer<typeof LookupMessage>;

export function sameNode(a: NodeAddress, b: NodeAddress): boolean {
  return a.node === b.node && a.incarnation === b.incarnation;
}

export function nodeKey(address: NodeAddress): string {
  return `${address.node}\n${address.incarnation}`;
}
