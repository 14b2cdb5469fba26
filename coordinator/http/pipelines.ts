import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Has answers that wait behind others on a connection end with it: Node tells that the connection is closed to the one alone whose turn it is.
 */
export class Pipelines {
  private readonly waiting = new WeakMap<Socket, Set<ServerResponse>>();

  enter(socket: Socket, response: ServerResponse): void {
    const waiting = this.waiting.get(socket) ?? this.begin(socket);
    waiting.add(response);
    response.once('close', () => waiting.delete(response));
  }

  private begin(socket: Socket): Set<ServerResponse> {
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
