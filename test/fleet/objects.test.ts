import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { Fleet } from './support/fleet.js';

describe('objects in a fleet', () => {
  let fleet: Fleet;
  const clients: Redis[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await fleet?.stop();
  });

  it('are read and written through every member, and outlive a worker that is killed under load', async () => {
    fleet = await Fleet.up(['--workers', '3', '--replicas', '2', '--redis-port', '0', '--object-bytes', '64MiB']);
    const { coordinators, workers } = fleet.ready;
    const victim = workers[1]!;
    const members = [...coordinators, ...workers];
    const open = ({ redis }: { redis: string | null }) => {
      const [host, port] = redis!.split(':') as [string, string];
      const client = new Redis(Number(port), host, { maxRetriesPerRequest: null, retryStrategy: () => 100 });
      client.on('error', () => {});
      clients.push(client);
      return client;
    };
    const redis = members.map(open);
    await redis[0]!.set('k', 'v');
    for (const client of redis) expect(await client.get('k')).toBe('v');

    const acknowledged = new Map<string, string>();
    let written = 0;
    const write = async (client: Redis, at: number) => {
      for (let i = 0; i < 40; i++) {
        const [key, value] = [`w${at}:${i % 10}`, `${at}.${i}:`.repeat(1 + (i % 4) * 8_000)];
        await client.set(key, value);
        acknowledged.set(key, value);
        expect(await client.get(key)).toBe(value);
        if (++written === 40) process.kill(victim.pid, 'SIGKILL');
      }
    };
    // Clients of the victim itself have to connect again to somebody else.
    const others = members.flatMap(({ id }, at) => (id === victim.id ? [] : [redis[at]!]));
    await Promise.all(others.map(write));
    for (const [key, value] of acknowledged) {
      for (const client of others) expect(await client.get(key)).toBe(value);
    }
    expect(await others[0]!.dbsize()).toBe(acknowledged.size + 1);
  });
});
