import type { NodeAddress } from './envelope.js';

/** The port: connections of their own between nodes, on which actors' messages travel where one node can dial the other. */
export interface CallLinks {
  /** The open link to this incarnation of a node, or null. */
  to(node: NodeAddress): CallLink | null;
  /** All open links. */
  all(): Iterable<CallLink>;
  /** Registers the one who is told of everything that happens on links. */
  listen(listener: LinkListener): void;
}

/** An open connection to one incarnation of another node, which has proved that it is that node. Messages keep their order. */
export interface CallLink {
  readonly peer: NodeAddress;
  /** False from the moment at which it closed, for good. */
  readonly open: boolean;
  /**
   * Sends one packed message. The bytes must not be changed afterwards.
   * @throws Unavailable if the link is closed, Overloaded if too much waits to be written, InvalidRequest for a message over `BUS_MESSAGE_BYTES`
   */
  send(message: Uint8Array): void;
}

export interface LinkListener {
  opened(link: CallLink): void;
  closed(link: CallLink): void;
  /** The bytes are valid during the call only. */
  received(link: CallLink, message: Uint8Array): void;
}

/** No node can be dialled: all calls take the bus. */
export const NO_LINKS: CallLinks = { to: () => null, all: () => [], listen: () => undefined };
