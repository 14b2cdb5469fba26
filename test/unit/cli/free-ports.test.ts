import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkFreePorts } from '../../../cli/free-ports.js';
import { Unavailable } from '../../../src/errors.js';

const host = '127.0.0.1';
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function takenPort(): Promise<number> {
  const server = createServer().listen({ host, port: 0 });
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('checkFreePorts', () => {
  it('names the option of a port that is taken', async () => {
    const port = await takenPort();
    const api = checkFreePorts({ host, ports: [0, port], redisHost: host, redisPorts: null });
    await expect(api).rejects.toThrow(`cannot listen on ${host}:${port}: listen EADDRINUSE`);
    await expect(api).rejects.toThrow('choose another --port');
    const redis = { coordinators: [0], workers: [0, port] };
    const asked = checkFreePorts({ host, ports: [0], redisHost: host, redisPorts: redis });
    await expect(asked).rejects.toThrow(Unavailable);
    await expect(asked).rejects.toThrow('choose another --redis-port');
  });

  it('accepts free ports, and leaves them free', async () => {
    const port = await takenPort();
    await once(servers.pop()!.close(), 'close');
    const config = { host, ports: [port], redisHost: host, redisPorts: { coordinators: [0], workers: [0] } };
    await checkFreePorts(config);
    await checkFreePorts(config);
  });
});
