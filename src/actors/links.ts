import type { NodeAddress } from './envelope.js';

/** The port for direct connections between nodes, which carry actors' messages where one node can dial the other. */
export interface CallLinks {
  /** The open link to this incarnation of a node, or null. */
  to(node: NodeAddress): CallLink | null;
  /** All open links. */
  all(): Iterable<CallLink>;
  /** Registers the only listener for the events of all links. */
  listen(listener: LinkListener): void;
}

/** An authenticated connection to one incarnation of another node. Messages keep their order. */
export interface CallLink {
  readonly peer: NodeAddress;
  /** Whether messages can be sent. A link that has closed never opens again. */
  readonly open: boolean;
  /** Whether so much is on its way that a message may come late: the silence of a call proves nothing then. */
  readonly crowded: boolean;
  /**
   * Sends one packed message. The bytes must not be changed afterwards.
   * @throws Unavailable if the link is closed, Overloaded if too much waits to be written, InvalidRequest for a message over `BUS_MESSAGE_BYTES`
   */
  send(message: Uint8Array): void;
}

export interface LinkListener {
  opened(link: CallLink): void;
  closed(link: CallLink): void;
  /** The bytes of `message` are valid only during the call. */
  received(link: CallLink, message: Uint8Array): void;
}

/** No links: all calls go over the bus. */
export const NO_LINKS: CallLinks = { to: () => null, all: () => [], listen: () => undefined };
