import { subjectToken } from '../bus/subject.js';
import type { NodeAddress } from './envelope.js';

/** Subjects of actors on the bus. They name node and incarnation, so that nothing reaches a later life of a node. */

/** First tokens of all subjects of one incarnation of a node. */
export function nodeSubject(namespace: string, { node, incarnation }: NodeAddress): string {
  return `${namespace}.node.${subjectToken(node)}.${subjectToken(incarnation)}`;
}

/** Of the answers to one call of a node. */
export function callSubject(namespace: string, caller: NodeAddress, id: number): string {
  return `${nodeSubject(namespace, caller)}.call.${id}`;
}

/** On which a node is told that nobody took its probe of another. */
export function probeSubject(namespace: string, caller: NodeAddress, probed: NodeAddress): string {
  return `${nodeSubject(namespace, caller)}.probe.${probedTokens(probed)}`;
}

/** Names the probed node in `probeSubject`. */
export function probedTokens({ node, incarnation }: NodeAddress): string {
  return `${subjectToken(node)}.${subjectToken(incarnation)}`;
}

/** Of look-ups of a name, on all nodes. */
export function lookupSubject(namespace: string, actor: string): string {
  return `${namespace}.lookup.${subjectToken(actor)}`;
}
