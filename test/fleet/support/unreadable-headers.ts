import { once } from 'node:events';
import net from 'node:net';
import type { NatsOptions } from '../../../src/bus/nats-options.js';

/** A header with a name that the protocol of NATS does not allow. Servers pass it on, and the library throws when it reads it. */
const HEADER = 'NATS/1.0\r\nbad key: x\r\n\r\n';

/** Publishes a payload with headers that the library cannot read, on each of these subjects. Resolves when the server has them. */
export async function publishUnreadable(
  { url, user, password }: NatsOptions,
  subjects: Iterable<string>,
  payload = '',
): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  const options = { user, pass: password, verbose: false, pedantic: false, headers: true, no_responders: true };
  socket.write(`CONNECT ${JSON.stringify({ ...options, lang: 'test', version: '1', protocol: 1 })}\r\n`);
  for (const subject of subjects) {
    socket.write(`HPUB ${subject} ${HEADER.length} ${HEADER.length + payload.length}\r\n${HEADER}${payload}\r\n`);
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
