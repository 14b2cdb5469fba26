import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Closes the pipelined responses of a connection when the connection closes.
 *
 * Node emits `close` only on the response whose turn it is; the responses queued behind it would never learn that their client is gone.
 */
export class Pipelines {
  private readonly waiting = new WeakMap<Socket, Set<ServerResponse>>();

  add(socket: Socket, response: ServerResponse): void {
    const waiting = this.waiting.get(socket) ?? this.watch(socket);
    waiting.add(response);
    response.once('close', () => waiting.delete(response));
  }

  private watch(socket: Socket): Set<ServerResponse> {
    const waiting = new Set<ServerResponse>();
    this.waiting.set(socket, waiting);
    socket.once('close', () => {
      for (const response of [...waiting]) {
        if (response.socket !== null || response.closed) continue;
        response.destroy();
        response.emit('close');
      }
    });
    return waiting;
  }
}
