import { Socket } from 'node:net';
import type { NatsConnection } from '@nats-io/transport-node';

/** The socket of a NATS connection, which the library does not show. */

/**
 * Closes it at once, after which the library dials again or is closed, as it was told before. By itself it would first wait until a silent server has
 * read all that was sent.
 */
export function cutConnection(connection: NatsConnection): void {
  const { protocol } = connection as { readonly protocol?: { readonly transport?: { readonly socket?: unknown } } };
  const socket = protocol?.transport?.socket;
  if (socket instanceof Socket) socket.destroy();
}
