import type net from 'node:net';
import type tls from 'node:tls';
import type { EnterStranger } from './strangers.js';

/** Counts each connection of a TLS server as a stranger for as long as its handshake takes. To be called before the server listens. */
export function countGreetings(server: tls.Server, enter: EnterStranger): void {
  /** Ends the stay of a connection in the handshake, by the connection's name. */
  const greeting = new Map<string, () => void>();
  server.prependListener('secureConnection', (socket) => greeting.get(nameOf(socket))?.());
  server.on('connection', (socket: net.Socket) => {
    const name = nameOf(socket);
    const leave = enter(socket.remoteAddress ?? '', () => socket.destroy());
    if (leave === null) return socket.destroy();
    greeting.set(name, leave);
    socket.once('close', () => {
      leave();
      greeting.delete(name);
    });
  });
  server.on('tlsClientError', (_, socket) => socket.destroy());
}

/** Remote address and port, which a TLS socket and the socket below it have in common. */
function nameOf({ remoteAddress, remotePort }: net.Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
