import { z } from 'zod';
import { Corrupt, type WireError } from '../errors.js';
import { ACTOR_NAME_CHARS } from '../limits.js';
import { decode } from '../wire/msgpack.js';

/** The messages between nodes. An actor's protocol checks its requests, answers and items. */

const Name = z.string().min(1).max(ACTOR_NAME_CHARS);

/** One incarnation of a node. */
export const NodeAddress = z.strictObject({ node: Name, incarnation: Name });
export type NodeAddress = z.infer<typeof NodeAddress>;

export interface ActorAddress extends NodeAddress {
  readonly actor: string;
}

export interface CallMessage {
  readonly type: 'call';
  /** Assigned by the caller, and unique within the caller's incarnation. */
  readonly id: number;
  readonly from: NodeAddress;
  readonly protocol: string;
  readonly actor: string;
  readonly method: string;
  readonly kind: 'ask' | 'tell' | 'stream';
  /** Time left until the deadline when the message is sent, since clocks of machines differ; null for no deadline. */
  readonly deadlineMs: number | null;
  readonly request: unknown;
  /** The `traceparent` of the caller's part of a trace. */
  readonly trace?: string;
}

/** A message to a node: from the caller to the actor's node, except `alive`, which answers a probe. */
export type NodeMessage =
  | CallMessage
  | { readonly type: 'cancel'; readonly id: number; readonly from: NodeAddress }
  /** The reader has consumed `read` items of the stream in total. */
  | { readonly type: 'credit'; readonly id: number; readonly from: NodeAddress; readonly read: number }
  /** All open calls of a caller to this node, each with the number of items read. Keeps the calls alive. */
  | { readonly type: 'probe'; readonly from: NodeAddress; readonly calls: readonly (readonly [number, number])[] }
  /** The probed calls, each with the number of items sent; null for an unknown call. */
  | {
      readonly type: 'alive';
      readonly from: NodeAddress;
      readonly calls: readonly (readonly [number, number | null])[];
    };

/** A message to one call. The call's ID travels beside the message. */
export type AnswerMessage =
  | { readonly type: 'answer'; readonly value: unknown }
  | { readonly type: 'failure'; readonly error: WireError }
  /** Items of a stream; `first` is the index of the first one, from 0. Between nodes, each item is packed separately. */
  | { readonly type: 'items'; readonly first: number; readonly items: readonly unknown[] }
  | { readonly type: 'end'; readonly items: number }
  /** Answer to a look-up. */
  | { readonly type: 'here'; readonly from: NodeAddress };

/** A look-up of an actor by name, sent to all nodes. */
export interface LookupMessage {
  readonly id: number;
  readonly from: NodeAddress;
  readonly protocol: string;
  readonly actor: string;
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
