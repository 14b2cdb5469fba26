import { afterEach, describe, expect, it } from 'vitest';
import { type RespAccess, type RespPrincipal, UNLIMITED } from '../../../src/resp/resp-access.js';
import { packCommand, type RespProbe, RespStation, type StationOptions } from './support/resp-station.js';

const MiB = 2 ** 20;

let station: RespStation;
let client: RespProbe;

async function open(options: StationOptions = {}): Promise<void> {
  station = await RespStation.open(options);
  client = await station.client();
}

afterEach(async () => {
  client.end();
  await station.close();
});

describe.each([
  ['in a worker', false],
  ['in a process that is no worker', true],
])('a client of the Redis protocol %s', (_, elsewhere) => {
  it('sets, reads, overwrites and deletes values of all sizes', async () => {
    await open({ elsewhere });
    for (const bytes of [0, 1, 100, 20_000, MiB, 5 * MiB + 1]) {
      const value = Buffer.alloc(bytes, 'abc\r\n\0');
      expect(await client.one('SET', 'k', value)).toBe('OK');
      expect(await client.one('GET', 'k')).toBe(value.toString('latin1'));
      expect(await client.one('STRLEN', 'k')).toBe(bytes);
    }
    expect(await client.one('GETRANGE', 'k', '1048570', '1048585')).toHaveLength(16);
    expect(await client.one('GETRANGE', 'k', '-4', '-1')).toHaveLength(4);
    expect(await client.one('SUBSTR', 'k', '5', '1')).toBe('');
    expect(await client.one('DEL', 'k', 'other')).toBe(1);
    expect(await client.call(['GET', 'k'], ['STRLEN', 'k'], ['EXISTS', 'k'])).toEqual([null, 0, 0]);
  });

  it('replaces a value for each of many clients at once, and gives each the one before its own', async () => {
    await open({ elsewhere });
    const others = await Promise.all(Array.from({ length: 24 }, () => station.client()));
    const texts = others.flatMap((_, i) => Array.from({ length: 8 }, (_, j) => `${i}.${j}`));
    const swaps = others.map((other, i) =>
      other.call(...Array.from({ length: 8 }, (_, j) => ['SET', 'k', `${i}.${j}`, 'GET'])),
    );
    const replies = (await Promise.all(swaps)).flat();
    const last = await client.one('GET', 'k');
    expect([...replies, last].sort()).toEqual([null, ...texts].sort());
    for (const other of others) other.end();
  });

  it('keeps the options of SET', async () => {
    await open({ elsewhere });
    expect(await client.call(['SET', 'k', '1', 'XX'], ['SET', 'k', '1', 'NX'], ['SET', 'k', '2', 'nx'])).toEqual([
      null,
      'OK',
      null,
    ]);
    expect(await client.one('SET', 'k', '3', 'GET')).toBe('1');
    expect(await client.one('SET', 'other', '3', 'NX', 'GET')).toBeNull();
    expect(await client.one('SET', 'k', '4', 'NX', 'GET')).toBe('3');
    expect(await client.one('SET', 'k', '4', 'EX', '100')).toBe('OK');
    expect(await client.one('TTL', 'k')).toBe(100);
    expect(await client.one('SET', 'k', '5', 'KEEPTTL')).toBe('OK');
    expect(await client.one('TTL', 'k')).toBe(100);
    expect(await client.one('SET', 'k', '6')).toBe('OK');
    expect(await client.one('TTL', 'k')).toBe(-1);
    const at = String(Math.floor(Date.now() / 1_000) + 50);
    expect(await client.one('SET', 'k', '7', 'EXAT', at)).toBe('OK');
    expect(await client.one('PTTL', 'k')).toBeGreaterThan(40_000);
    expect(
      await client.call(['SET', 'k', '7', 'EX', '0'], ['SET', 'k', '7', 'NX', 'XX'], ['SET', 'k', '7', 'EX']),
    ).toEqual([
      "-ERR invalid expire time in 'set' command",
      '-ERR syntax error',
      '-ERR value is not an integer or out of range',
    ]);
    expect(await client.call(['SETNX', 'k', '8'], ['SETEX', 'e', '9', 'x'], ['PSETEX', 'p', '9000', 'x'])).toEqual([
      0,
      'OK',
      'OK',
    ]);
    expect(await client.one('TTL', 'e')).toBe(9);
  });

  it('keeps the options of EXPIRE, and forgets at the time', async () => {
    await open({ elsewhere });
    await client.one('SET', 'k', '1');
    expect(await client.one('EXPIRE', 'k', '100', 'XX')).toBe(0);
    expect(await client.one('EXPIRE', 'k', '100', 'NX')).toBe(1);
    expect(await client.one('EXPIRE', 'k', '50', 'GT')).toBe(0);
    expect(await client.one('EXPIRE', 'k', '50', 'LT')).toBe(1);
    expect(await client.one('PERSIST', 'k')).toBe(1);
    expect(await client.one('PERSIST', 'k')).toBe(0);
    expect(await client.one('PEXPIRE', 'k', '60000')).toBe(1);
    expect(await client.one('EXPIRE', 'k', '-1')).toBe(1);
    expect(await client.one('TTL', 'k')).toBe(-2);
    expect(await client.one('EXPIRE', 'none', '1')).toBe(0);
    await client.one('SET', 'short', '1', 'PX', '20');
    while ((await client.one('GET', 'short')) !== null);
    expect(await client.one('EXISTS', 'short')).toBe(0);
  });

  it('reads and writes many at once, and lists them', async () => {
    await open({ elsewhere });
    expect(await client.one('MSET', 'a', '1', 'b', Buffer.alloc(MiB, 'b'), 'c', '3')).toBe('OK');
    expect(await client.one('MGET', 'a', 'none', 'b', 'c')).toEqual(['1', null, 'b'.repeat(MiB), '3']);
    expect(await client.one('EXISTS', 'a', 'a', 'none')).toBe(2);
    expect(await client.one('TOUCH', 'a', 'none')).toBe(1);
    expect(await client.call(['TYPE', 'a'], ['TYPE', 'none'], ['DBSIZE'])).toEqual(['string', 'none', 3]);
    for (let i = 0; i < 100; i++) await client.one('SET', `key:${i}`, '1');
    const found: string[] = [];
    let cursor = '0';
    do {
      const [next, keys] = (await client.one('SCAN', cursor, 'MATCH', 'key:*', 'COUNT', '7')) as [string, string[]];
      found.push(...keys);
      cursor = next;
    } while (cursor !== '0');
    expect(found.length).toBe(100);
    expect(new Set(found).size).toBe(100);
    expect(await client.one('KEYS', 'key:?')).toHaveLength(10);
    expect(await client.one('RANDOMKEY')).toEqual(expect.any(String));
    expect(await client.one('MEMORY', 'USAGE', 'b')).toBeGreaterThan(MiB);
    expect(await client.one('UNLINK', 'a', 'b')).toBe(2);
    expect(await client.call(['FLUSHDB'], ['DBSIZE'], ['RANDOMKEY'])).toEqual(['OK', 0, null]);
  });

  it('keeps databases apart', async () => {
    await open({ elsewhere });
    expect(
      await client.call(
        ['SET', 'k', '0'],
        ['SELECT', '3'],
        ['GET', 'k'],
        ['SET', 'k', '3'],
        ['SELECT', '0'],
        ['GET', 'k'],
      ),
    ).toEqual(['OK', 'OK', null, 'OK', 'OK', '0']);
    expect(await client.one('SELECT', '16')).toBe('-ERR DB index is out of range');
  });

  it('answers pipelined commands in their order', async () => {
    await open({ elsewhere });
    const commands = Array.from({ length: 500 }, (_, i) => [
      ['SET', `k${i % 50}`, `${i}`.repeat(1 + (i % 3) * 6_000)],
      ['GET', `k${i % 50}`],
    ]).flat();
    const replies = await client.call(...commands);
    replies.forEach((reply, i) => {
      expect(reply).toBe(i % 2 === 0 ? 'OK' : commands[i - 1]![2]);
    });
  });
});

describe('the Redis protocol', () => {
  it('introduces itself in both versions', async () => {
    await open();
    expect(await client.call(['PING'], ['PING', 'x'], ['ECHO', 'y'])).toEqual(['PONG', 'x', 'y']);
    expect(await client.one('HELLO', '4')).toBe('-NOPROTO unsupported protocol version');
    expect(await client.one('HELLO', '3', 'SETNAME', 'me')).toEqual(
      expect.arrayContaining(['server', 'redis', 'proto', 3]),
    );
    expect(await client.call(['GET', 'none'], ['CLIENT', 'GETNAME'], ['CLIENT', 'SETINFO', 'LIB-NAME', 'x'])).toEqual([
      null,
      'me',
      'OK',
    ]);
    expect(await client.one('CLIENT', 'INFO')).toContain('name=me');
    expect(await client.one('INFO')).toContain('redis_version:7');
    expect(await client.one('INFO', 'memory')).not.toContain('redis_version');
    expect(await client.one('CONFIG', 'GET', 'max*')).toEqual(
      expect.arrayContaining(['maxmemory', String(64 * MiB), 'maxmemory-policy']),
    );
    expect(await client.one('COMMAND', 'COUNT')).toBe(37);
    expect(await client.one('COMMAND', 'INFO', 'get', 'none')).toEqual([
      ['get', 2, ['readonly', 'fast'], 1, 1, 1],
      null,
    ]);
    expect(await client.one('QUIT')).toBe('OK');
    await client.closed();
  });

  it('says of what is not there that it is unknown, as Redis does', async () => {
    await open();
    expect(await client.one('LPUSH', 'a', 'b\r\nc')).toBe(
      "-ERR unknown command 'LPUSH', with args beginning with: 'a' 'b  c' ",
    );
    expect(await client.one('GET')).toBe("-ERR wrong number of arguments for 'get' command");
    expect(await client.one('SET', 'k')).toBe("-ERR wrong number of arguments for 'set' command");
    expect(await client.one('GET', Buffer.alloc(1025))).toMatch(/^-ERR key: must have 1 to 1024 bytes/);
    expect(await client.one('GET', Buffer.alloc(20_000))).toMatch(/^-ERR an argument of 20000 bytes is too long/);
    expect(await client.one('PING')).toBe('PONG');
  });

  it('refuses a value without room, and takes the next', async () => {
    await open({ budgetBytes: 2 * MiB, stagingBytes: 4 * MiB });
    expect(await client.one('SET', 'k', Buffer.alloc(3 * MiB))).toMatch(/^-OOM no room/);
    expect(await client.one('SET', 'k', Buffer.alloc(6 * MiB))).toMatch(/^-OOM incoming values/);
    expect(await client.one('SET', 'k', Buffer.alloc(MiB))).toBe('OK');
    expect(station.server.stagedBytes).toBe(0);
  });

  it.each([
    'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
    'POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET k 1\r\n',
    'Host: a\r\nSET k 1\r\n',
  ])('disconnects a browser that sends %j', async (text) => {
    await open();
    client.socket.write(text);
    await client.closed();
    expect(client.rest).toMatch(/^-ERR Protocol error/);
    const other = await station.client();
    expect(await other.one('DBSIZE')).toBe(0);
    other.end();
  });

  it('lets no client have more than its bounds', async () => {
    await open({ maxClients: 2, objectBytes: MiB });
    client.socket.write('*2\r\n$3\r\nGET\r\n$2000000\r\n');
    expect(await client.reply()).toBe('-ERR Protocol error: invalid bulk length');
    await client.closed();
    const [second, third, fourth] = [await station.client(), await station.client(), await station.client()];
    expect(await second.one('PING')).toBe('PONG');
    expect(await third.one('PING')).toBe('PONG');
    expect(await fourth.reply()).toBe('-ERR max number of clients reached');
    for (const each of [second, third, fourth]) each.end();
  });

  it('gives memory back when clients go in the middle of a value', async () => {
    await open();
    client.socket.write(packCommand(['SET', 'k', Buffer.alloc(8 * MiB)]).subarray(0, 5 * MiB));
    while (station.server.stagedBytes < 4 * MiB) await new Promise((resolve) => setImmediate(resolve));
    client.end();
    while (station.server.clients > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(station.server.stagedBytes).toBe(0);
    expect(station.objects.store.objects).toBe(0);
  });

  it('does not read on while a client does not take its replies', async () => {
    await open();
    await client.one('SET', 'k', Buffer.alloc(8 * MiB));
    client.socket.pause();
    client.socket.write(Buffer.concat(Array.from({ length: 2_000 }, () => packCommand(['GET', 'k']))));
    const other = await station.client();
    for (let i = 0; i < 50; i++) expect(await other.one('PING')).toBe('PONG');
    client.end();
    while (station.server.clients > 1) await new Promise((resolve) => setImmediate(resolve));
    expect([...station.objects.store.all()].map(({ value }) => value.unread)).toEqual([true]);
    other.end();
  });
});

describe('a fleet with keys', () => {
  const keys = new Map<string, RespPrincipal>([
    ['key-of-a', { space: 'a', name: 'a' }],
    ['key-of-b', { space: 'b', name: 'b' }],
  ]);
  const access: RespAccess = {
    anonymous: () => null,
    pending: () => null,
    authenticate: async (_, password) => keys.get(password) ?? null,
    use: () => UNLIMITED,
  };

  it('answers nothing to a client without a key', async () => {
    await open({ access });
    const commands = [['GET', 'k'], ['PING'], ['INFO'], ['FLUSHDB'], ['COMMAND']];
    for (const reply of await client.call(...commands)) expect(reply).toBe('-NOAUTH Authentication required.');
    expect(await client.one('HELLO', '3')).toMatch(/^-NOAUTH/);
    expect(await client.one('AUTH', 'wrong')).toMatch(/^-WRONGPASS/);
    expect(await client.one('AUTH', 'default', 'key-of-a')).toBe('OK');
    expect(await client.one('PING')).toBe('PONG');
  });

  it('shows a tenant no exact use of memory by all, and an open fleet does', async () => {
    await open({ access });
    await client.call(['AUTH', 'key-of-a'], ['SET', 'k', 'a']);
    const shown = async () => String(await client.one('INFO'));
    expect(await shown()).toMatch(/connected_clients:0\r\n.*used_memory:0\r\n.*shoal_objects_here:0\r\n/s);
    await station.close();
    await open();
    await client.one('SET', 'k', 'a');
    expect(await shown()).toMatch(/connected_clients:1\r\n.*used_memory:[1-9]\d+\r\n.*shoal_objects_here:1\r\n/s);
  });

  it('shows each tenant its own objects only', async () => {
    await open({ access });
    const other = await station.client();
    await client.call(['AUTH', 'key-of-a'], ['SET', 'k', 'a']);
    await other.call(['HELLO', '3', 'AUTH', 'default', 'key-of-b'], ['SET', 'k', 'b'], ['SET', 'l', 'b']);
    expect(await client.call(['GET', 'k'], ['DBSIZE'], ['KEYS', '*'], ['FLUSHDB'])).toEqual(['a', 1, ['k'], 'OK']);
    expect(await other.call(['GET', 'k'], ['DBSIZE'])).toEqual(['b', 2]);
    other.end();
  });
});
