import { once } from 'node:events';
import net from 'node:net';
import type { NatsOptions } from '../../../src/bus/nats-options.js';

/** Headers that servers pass on, and that a member may not stumble over. */
export const HEADERS = {
  /** The protocol of NATS does not allow the name, and the library throws when it reads it. */
  unreadable: 'NATS/1.0\r\nbad key: x\r\n\r\n',
  /** As many as a stored message may have: the library takes quadratic time for them. */
  many: `NATS/1.0\r\n${Array.from({ length: 10_000 }, (_, i) => `${i.toString(36)}:\r\n`).join('')}\r\n`,
  /** An operation that no client of a bucket stores. */
  odd: 'NATS/1.0\r\nKV-Operation: put\r\n\r\n',
} as const;

/** Publishes a payload with headers on each of these subjects. Resolves when the server has them. */
export async function publishWithHeaders(
  { url, user, password }: NatsOptions,
  header: string,
  subjects: Iterable<string>,
  payload = '',
): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  const options = { user, pass: password, verbose: false, pedantic: false, headers: true, no_responders: true };
  socket.write(`CONNECT ${JSON.stringify({ ...options, lang: 'test', version: '1', protocol: 1 })}\r\n`);
  for (const subject of subjects) {
    socket.write(`HPUB ${subject} ${header.length} ${header.length + payload.length}\r\n${header}${payload}\r\n`);
  }
  socket.write('PING\r\n');
  let said = '';
  socket.on('data', (bytes) => {
    said += bytes;
    if (said.includes('PONG')) socket.end();
  });
  await once(socket, 'close');
  if (said.includes('-ERR')) throw new Error(said);
}
