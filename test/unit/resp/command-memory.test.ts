import { afterEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { Overloaded } from '../../../src/errors.js';
import { COMMAND_SLOW_MS, COMMAND_STEP_BYTES, CommandMemory } from '../../../src/resp/command-memory.js';
import { type RespAccess, UNLIMITED } from '../../../src/resp/resp-access.js';
import { RespStation, type StationOptions } from './support/resp-station.js';

/** The memory of commands that never end. */

const MiB = 2 ** 20;

describe('the memory of all commands', () => {
  const room = (memory: CommandMemory, owner: string | null) => {
    const share = memory.share(() => {});
    const before = memory.usedBytes;
    expect(() => share.take(64 * MiB, owner)).toThrow(Overloaded);
    return { share, bytes: memory.usedBytes - before };
  };

  it('gives a tenant as much as it leaves to others, however many connections it has', () => {
    const memory = new CommandMemory(12 * MiB, new SimulatedClock());
    const own = [room(memory, 'a'), room(memory, 'a'), room(memory, 'a')].reduce((sum, { bytes }) => sum + bytes, 0);
    expect(own).toBe(6 * MiB);
    expect(room(memory, 'b').bytes).toBe(3 * MiB);
    expect(room(memory, 'c').bytes).toBe(1.5 * MiB);
  });

  it('gives a connection as much where all are one tenant, and short commands need none', () => {
    const memory = new CommandMemory(8 * MiB, new SimulatedClock());
    for (let i = 0; i < 100; i++) room(memory, null);
    expect(memory.usedBytes).toBeLessThanOrEqual(8 * MiB);
    memory.share(() => {}).take(COMMAND_STEP_BYTES, null);
  });

  it('takes the place of the oldest command once that is slow, and comes back at the end of each', async () => {
    const clock = new SimulatedClock();
    const memory = new CommandMemory(MiB, clock);
    const evicted: string[] = [];
    const [first, second, third] = ['first', 'second', 'third'].map((name) => memory.share(() => evicted.push(name)));
    first!.take(MiB / 2, null);
    await clock.advance(COMMAND_SLOW_MS - 1);
    second!.take(MiB / 4, null);
    expect(() => third!.take(MiB / 4, null)).toThrow(Overloaded);
    third!.release();
    await clock.advance(1);
    third!.take(MiB / 4, null);
    expect(evicted).toEqual(['first']);
    for (const share of [first, second, third]) share!.release();
    expect(memory.usedBytes).toBe(0);
  });
});

describe('a server for the Redis protocol', () => {
  let station: RespStation;
  afterEach(() => station.close());

  /** 3 MB of short arguments, and the announcement of one more. */
  const unfinished = Buffer.from(`*25001\r\n$3\r\nDEL\r\n${`$120\r\n${'y'.repeat(120)}\r\n`.repeat(24_999)}`);

  async function fill(options: StationOptions, count: number) {
    station = await RespStation.open(options);
    const clients = await Promise.all(Array.from({ length: count }, () => station.client()));
    for (const client of clients) client.socket.write(unfinished);
    return clients;
  }

  it('bounds the memory of unfinished commands over all connections, and answers those that had none', async () => {
    const clients = await fill({ commandBytes: 8 * MiB }, 12);
    const end = Buffer.from('$1\r\nz\r\n');
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, station.server.commandBytes);
    }, 0);
    const replies = await Promise.all(
      clients.map((client) => {
        client.socket.write(end);
        return client.reply();
      }),
    );
    clearInterval(watch);
    expect(replies.filter((reply) => reply !== 0 && !String(reply).startsWith('-OOM commands have'))).toEqual([]);
    expect(most).toBeLessThanOrEqual(8 * MiB);
    const other = await station.client();
    expect(await other.one('PING')).toBe('PONG');
    for (const client of clients) expect(await client.one('PING')).toBe('PONG');
    expect(station.server.commandBytes).toBe(0);
  });

  it('answers that a command was too long for the memory, whatever its count of arguments, and goes on', async () => {
    const [client] = await fill({ commandBytes: MiB }, 1);
    client!.socket.write('$1\r\nz\r\n');
    expect(await client!.reply()).toMatch(/^-OOM commands have 1048576 bytes of memory together/);
    expect(await client!.one('SET', 'a', 'b')).toBe('OK');
    expect(station.server.commandBytes).toBe(0);
  });

  it('leaves another tenant its share, and gives the memory back with the connection', async () => {
    const access: RespAccess = {
      anonymous: () => null,
      pending: () => null,
      authenticate: async (_, password) => ({ space: `key/${password}`, name: password }),
      use: () => UNLIMITED,
    };
    station = await RespStation.open({ commandBytes: 8 * MiB, access });
    const [a, b] = await Promise.all([station.client(), station.client()]);
    for (const [client, name] of [
      [a, 'a'],
      [b, 'b'],
    ] as const)
      expect(await client.one('AUTH', name)).toBe('OK');
    a.socket.write(unfinished);
    while (station.server.commandBytes < 2 * MiB) await new Promise((resolve) => setImmediate(resolve));
    expect(await b.one('DEL', ...Array.from({ length: 8_000 }, (_, i) => `${i}`.repeat(10)))).toBe(0);
    a.end();
    while (station.server.commandBytes > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});
