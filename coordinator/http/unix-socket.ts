import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import type { Server } from 'node:http';
import { Unavailable } from '../../src/errors.js';
import { SocketPath } from '../../src/peer/server/socket-path.js';
import type { HttpListenOptions } from './listen-options.js';
import { refuseMalformed } from './refusals.js';

/**
 * Makes a server listen on a Unix socket that only processes of the same user can open. Resolves with the function that gives the path up, to be
 * called when the server has been told to close.
 * @throws Unavailable if it cannot listen
 */
export async function listenOnSocket(
  server: Server,
  { path, owner }: NonNullable<HttpListenOptions['socket']>,
): Promise<() => Promise<void>> {
  const claimed = await SocketPath.claim(path, owner).catch((cause: Error) => {
    throw new Unavailable(`--uds: cannot listen on ${path}: ${cause.message}; choose another --uds`, { cause });
  });
  try {
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseMalformed(error.code ?? '', socket));
    server.listen({ path });
    await once(server, 'listening');
    await chmod(path, 0o600);
  } catch (cause) {
    server.close();
    await claimed.release();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Unavailable(`--uds: cannot listen on ${path}: ${reason}; choose another --uds`, { cause });
  }
  return () => claimed.release();
}
