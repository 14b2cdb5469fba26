import { subjectToken, tokenText } from '../bus/subject.js';
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

/**
 * Reply subject of a node's calls and probes of another node, on which the bus reports that the other one does not listen. It is the same for all
 * of them, so that what is derived from it can be kept.
 */
export function absenceSubject(namespace: string, caller: NodeAddress, called: NodeAddress): string {
  return `${absenceBase(namespace, caller)}${subjectToken(called.node)}.${subjectToken(called.incarnation)}`;
}

/** Prefix of all subjects on which the bus reports to a node that others do not listen. */
export function absenceBase(namespace: string, caller: NodeAddress): string {
  return `${nodeSubject(namespace, caller)}.absent.`;
}

/** The called node in a subject that begins with this `absenceBase`; null if there is none. */
export function calledNode(subject: string, base: string): NodeAddress | null {
  const [node, incarnation] = subject.slice(base.length).split('.').map(tokenText);
  return node && incarnation ? { node, incarnation } : null;
}

/** Subject of look-ups of an actor's name, shared by all nodes. */
export function lookupSubject(namespace: string, actor: string): string {
  return `${namespace}.lookup.${subjectToken(actor)}`;
}
