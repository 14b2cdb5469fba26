import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import type { NatsOptions } from '../../../src/bus/nats-options.js';
import { Overloaded, Refused, Unavailable } from '../../../src/errors.js';
import { busContract, once } from '../../contract/bus-suite.js';
import { HEADERS, publishWithHeaders } from '../support/publish-with-headers.js';

let path: string;
let dir: string;
let server: EmbeddedServer;

beforeAll(async () => {
  path = (await findNatsServer()).path;
  dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  server = await startNatsServer({ path, dir });
});

afterAll(async () => {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

function credentials(): NatsOptions {
  return { url: server.url, user: server.user, password: server.password };
}

busContract('NatsBus', () => ({
  connect: (onError) => connectNats({ ...credentials(), ...(onError ? { onError } : {}) }),
  async close() {},
}));

test('takes credentials from the URL, with characters that a URL escapes', async () => {
  const special = await startNatsServer({
    path,
    dir,
    users: [{ user: 'a user', password: 'p@ss/w%rd', rights: null }],
  });
  const url = `nats://a%20user:p%40ss%2Fw%25rd@127.0.0.1:${special.port}`;
  const bus = await connectNats({ url });
  await bus.flush();
  await bus.close();
  await special.stop();
});

test.each(['unreadable', 'many'] as const)('takes a message with %s headers as one without headers', async (kind) => {
  const bus = await connectNats({
    ...credentials(),
    onError: (error) => {
      throw error;
    },
  });
  const heard = once(bus, 'hello');
  await bus.flush();
  await publishWithHeaders(credentials(), HEADERS[kind], ['hello']);
  expect(await heard).toMatchObject({ nobody: false });
  await bus.close();
});

test('refuses an invalid NATS URL without repeating it', async () => {
  for (const url of ['http://user:sesame@host', 'nats://user:sesame@host:port', '']) {
    const outcome = connectNats({ url });
    await expect(outcome).rejects.toThrow(Refused);
    await expect(outcome).rejects.not.toThrow('sesame');
  }
});

test('reconnects to a server that was gone, and reports it', async () => {
  const first = await startNatsServer({ path, dir });
  const { user, password, port } = first;
  const bus = await connectNats({ url: first.url, user, password });
  const statuses: string[] = [];
  const changed = (wanted: string) =>
    new Promise<void>((resolve) => {
      bus.onStatus((status) => {
        statuses.push(status);
        if (status === wanted) resolve();
      });
    });
  const heard = once(bus, 'hello');

  const lost = changed('lost');
  await first.stop();
  await lost;
  expect(bus.connected).toBe(false);
  expect(() => bus.publish('hello', new Uint8Array(1))).toThrow(Unavailable);
  await expect(bus.flush()).rejects.toThrow(Unavailable);

  const found = changed('found');
  const second = await startNatsServer({ path, dir, port, users: [{ user, password, rights: null }] });
  await found;
  bus.publish('hello', new Uint8Array(3));
  expect((await heard).payload.byteLength).toBe(3);
  await bus.close();
  await second.stop();
});

test('can be closed while the server is gone', async () => {
  const gone = await startNatsServer({ path, dir });
  const bus = await connectNats({ url: gone.url, user: gone.user, password: gone.password });
  const lost = new Promise<void>((resolve) => bus.onStatus(() => resolve()));
  await gone.stop();
  await lost;
  await bus.close();
  expect(bus.connected).toBe(false);
});

test.each(['reports', 'closes'] as const)(
  '%s a connection whose server stands still with much to read',
  async (kind) => {
    const still = await startNatsServer({ path, dir });
    const bus = await connectNats({ url: still.url, user: still.user, password: still.password });
    await bus.flush();
    const lost = new Promise<void>((resolve) => bus.onStatus((status) => status === 'lost' && resolve()));
    process.kill(still.pid, 'SIGSTOP');
    try {
      // More than the buffers of both sockets take.
      for (let i = 0; i < 64; i++) bus.publish('much', new Uint8Array(512 * 1024));
      if (kind === 'reports') await lost;
      await bus.close();
    } finally {
      process.kill(still.pid, 'SIGCONT');
      await still.stop();
    }
  },
);

test('leaves no socket open if it closes while it dials a server that stands still', async () => {
  const still = await startNatsServer({ path, dir });
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
  const before = sockets();
  const until = async (count: number) => {
    while (sockets() !== count) await new Promise(setImmediate);
  };
  const bus = await connectNats({ url: still.url, user: still.user, password: still.password });
  const lost = new Promise<void>((resolve) => bus.onStatus((status) => status === 'lost' && resolve()));
  process.kill(still.pid, 'SIGSTOP');
  try {
    await lost;
    // The system accepts for the server.
    await until(before + 1);
    await bus.close();
    await until(before);
  } finally {
    process.kill(still.pid, 'SIGCONT');
    await still.stop();
  }
});

test('waits on request for a server that is missing or refuses its credentials, and gives the reason', async () => {
  const reserved = await startNatsServer({ path, dir });
  const { port, user, password } = reserved;
  await reserved.stop();
  await expect(connectNats({ url: reserved.url, user, password })).rejects.toThrow(Unavailable);
  let tell: (why: Error) => void = () => {};
  const nextReason = () =>
    new Promise<Error>((resolve) => {
      tell = resolve;
    });
  const nobody = nextReason();
  const onWaiting = (why: Error) => tell(why);
  const waiting = connectNats({ url: reserved.url, user, password, waitForServer: true, onWaiting });
  expect(await nobody).toBeInstanceOf(Unavailable);
  const refusal = nextReason();
  const stranger = await startNatsServer({ path, dir, port, users: [{ user, password: 'another', rights: null }] });
  expect(await refusal).toBeInstanceOf(Refused);
  await stranger.stop();
  const late = await startNatsServer({ path, dir, port, users: [{ user, password, rights: null }] });
  const bus = await waiting;
  await bus.flush();
  await bus.close();
  await late.stop();
});

test('drops what is published to a connection that has closed, before it hears of that', async () => {
  const bus = await connectNats({ url: server.url, user: server.user, password: server.password });
  await bus.flush();
  const closed = bus.connection.close();
  // Within the turn in which the connection closes.
  void bus.connection.closed().then(() => bus.connected && bus.publish('nobody', new Uint8Array(1)));
  await closed;
  // An exception that nobody catches would fail the test.
  await bus.close();
  expect(() => bus.publish('nobody', new Uint8Array(1))).toThrow(Unavailable);
});

test('is Overloaded if the server does not read messages', async () => {
  const sockets: Socket[] = [];
  // Completes the connection handshake, then reads nothing more.
  const deaf = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(
      `INFO ${JSON.stringify({ server_id: 'deaf', version: '2.9.0', max_payload: 1 << 20, headers: true })}\r\n`,
    );
    socket.once('data', () => {
      socket.pause();
      socket.write('PONG\r\n');
    });
  });
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
  const address = deaf.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const bus = await connectNats({ url: `nats://127.0.0.1:${port}`, maxPendingBytes: 4 << 20 });
  const publish = () => {
    for (let i = 0; i < 32; i++) bus.publish('flood', new Uint8Array(256 * 1024));
  };
  expect(publish).toThrow(Overloaded);
  for (const socket of sockets) socket.destroy();
  deaf.close();
  await bus.connection.close();
  await bus.close();
});
