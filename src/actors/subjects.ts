import { subjectToken } from '../bus/subject.js';
import type { NodeAddress } from './envelope.js';

/** Bus subjects of actors. They name the incarnation, so that no message reaches a later incarnation of a node. */

/** Prefix of all subjects of one incarnation of a node. */
function nodeSubject(namespace: string, { node, incarnation }: NodeAddress): string {
  return `${namespace}.node.${subjectToken(node)}.${subjectToken(incarnation)}`;
}

/** Subject of all messages to a node. It is the same for all answers: NATS looks up a subject that it has not seen before in its index. */
export function inboxSubject(namespace: string, node: NodeAddress): string {
  return `${nodeSubject(namespace, node)}.in`;
}

/** Reply subject of one call of a node, on which the bus reports a call without a subscriber. `*` stands for all calls. */
export function callSubject(namespace: string, caller: NodeAddress, id: number | '*' | ''): string {
  return `${nodeSubject(namespace, caller)}.call.${id}`;
}

/** Reply subject of a node's probe of another node, on which the bus reports a probe without a subscriber. */
export function probeSubject(namespace: string, caller: NodeAddress, probed: NodeAddress): string {
  return `${probeBase(namespace, caller)}${probedTokens(probed)}`;
}

/** Prefix of all reply subjects of a node's probes. */
export function probeBase(namespace: string, caller: NodeAddress): string {
  return `${nodeSubject(namespace, caller)}.probe.`;
}

/** The tokens of the probed node in `probeSubject`. */
export function probedTokens({ node, incarnation }: NodeAddress): string {
  return `${subjectToken(node)}.${subjectToken(incarnation)}`;
}

/** Subject of look-ups of an actor's name, shared by all nodes. */
export function lookupSubject(namespace: string, actor: string): string {
  return `${namespace}.lookup.${subjectToken(actor)}`;
}
