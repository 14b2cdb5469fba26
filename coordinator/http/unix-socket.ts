import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Unavailable } from '../../src/errors.js';
import { SocketPath } from '../../src/peer/server/socket-path.js';
import { refuseMalformed } from './refusals.js';

/**
 * Makes a server listen on a Unix socket that only processes of the same user can open. Resolves with the function that closes the server, and
 * gives the path up when its connections have ended.
 * @throws Unavailable if it cannot listen
 */
export async function listenOnUnixSocket(server: Server, path: string): Promise<() => Promise<void>> {
  const failed = (cause: Error) =>
    new Unavailable(`--uds: cannot listen on ${path}: ${cause.message}; choose another --uds`, { cause });
  const claimed = await SocketPath.claim(path, `coordinator (process ${process.pid})`).catch((cause: Error) => {
    throw failed(cause);
  });
  try {
    server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      refuseMalformed(error.code ?? '', socket as Socket),
    );
    server.listen({ path });
    await once(server, 'listening');
    await chmod(path, 0o600);
  } catch (cause) {
    server.close();
    await claimed.release();
    throw failed(cause as Error);
  }
  return async () => {
    await new Promise((resolve) => server.close(resolve));
    await claimed.release();
  };
}
