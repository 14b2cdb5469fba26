import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { knock } from '../../../src/peer/wire/socket.js';

it('A knock tells a process that listens from one that has ended, and from an address of which nothing is known', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await knock({ host: '127.0.0.1', port }, 10_000)).toBe('there');
  server.close();
  await once(server, 'close');
  expect(await knock({ host: '127.0.0.1', port }, 10_000)).toBe('ended');
  expect(await knock({ path: `/nowhere/${port}.sock` }, 10_000)).toBe('unknown');
});
