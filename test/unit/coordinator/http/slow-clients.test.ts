import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { Listener, type TlsContext } from '../../../../coordinator/http/listener.js';
import { SystemClock } from '../../../../src/clock.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { FLEET_TLS } from '../../peer/support/tls.js';
import { connectTo } from '../support/raw.js';

const TLS: TlsContext = { key: FLEET_TLS.key, cert: FLEET_TLS.cert, clientCa: null };
const TIMES = { requestMs: 1_000, headMs: 500, handshakeMs: 500 };
/** Node's own look-out for slow clients takes half a minute, and for slow handshakes two. */
const MUCH_LATER_MS = 15_000;

const HEAD = 'POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n';

it.each([
  ['says nothing', null, ''],
  ['never ends its head', null, HEAD],
  ['never ends its body', null, `${HEAD}\r\n1`],
  ['says nothing where TLS is spoken', TLS, ''],
  ['never ends its handshake', TLS, '\x16\x03\x01\x02'],
  ['never ends its head after the handshake', TLS, HEAD],
] as const)('a client that %s is disconnected soon after its time', async (_, tls, text) => {
  const options = { tls, times: TIMES, answerHeaders: () => ({}), clock: new SystemClock(), log: SILENT_LOG };
  const server = new Listener(options).makeServer((request) => void request.resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const speaksTls = tls !== null && text === HEAD;
  const socket = speaksTls ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connectTo(url);
  socket.on('error', () => {});
  const startedMs = performance.now();
  socket.write(Buffer.from(text, 'latin1'));
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  expect(performance.now() - startedMs).toBeLessThan(MUCH_LATER_MS);
});
