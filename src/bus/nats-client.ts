import { Socket } from 'node:net';
import { connect, errors, headers, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';

/** The client library of NATS: what shoal uses of it, and what it does not offer by itself. */

export type { NodeConnectionOptions } from '@nats-io/transport-node';
export { connect, errors, headers, type Msg, type MsgHdrs, type NatsConnection };

export type PermissionViolation = InstanceType<typeof errors.PermissionViolationError>;

/** Whether the server has refused a message or a subscription for lack of rights. */
export function isViolation(error: Error): error is PermissionViolation {
  return error instanceof errors.PermissionViolationError;
}

/**
 * Closes the socket of a connection at once, after which the library dials again, or is closed, as it was told before. By itself it would first wait until a
 * silent server has read all that was sent.
 */
export function cutConnection(connection: NatsConnection): void {
  const { protocol } = connection as { readonly protocol?: { readonly transport?: { readonly socket?: unknown } } };
  const socket = protocol?.transport?.socket;
  if (socket instanceof Socket) socket.destroy();
}
