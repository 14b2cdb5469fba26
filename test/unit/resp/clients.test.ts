import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { Cluster, Redis } from 'ioredis';
import { createClient, RESP_TYPES } from 'redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RespStation } from './support/resp-station.js';

/** Clients that others have written, unchanged. */

const MiB = 2 ** 20;
const run = promisify(execFile);

function has(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('the Redis protocol', () => {
  let station: RespStation;

  beforeEach(async () => {
    station = await RespStation.open();
  });

  afterEach(() => station.close());

  it('serves ioredis', async () => {
    const redis = new Redis(station.port, '127.0.0.1');
    const value = Buffer.alloc(3 * MiB, 'kv');
    expect(await redis.set('k', value, 'EX', 100)).toBe('OK');
    expect((await redis.getBuffer('k'))?.equals(value)).toBe(true);
    expect(await redis.ttl('k')).toBeGreaterThan(0);
    expect(await redis.set('lock', '1', 'PX', 10_000, 'NX')).toBe('OK');
    expect(await redis.set('lock', '2', 'PX', 10_000, 'NX')).toBeNull();
    const replies = await redis.pipeline().set('a', '1').get('a').exists('a', 'b').del('a').get('a').exec();
    expect(replies?.map(([, reply]) => reply)).toEqual(['OK', '1', 1, 1, null]);
    const found: string[] = [];
    for await (const keys of redis.scanStream({ match: 'l*' })) found.push(...(keys as string[]));
    expect(found).toEqual(['lock']);
    await expect(redis.lpush('list', 'x')).rejects.toThrow("ERR unknown command 'lpush'");
    await redis.quit();
  });

  it('tells a client of Redis Cluster that there is none', async () => {
    const at = { host: '127.0.0.1', port: station.port };
    const cluster = new Cluster([at], { clusterRetryStrategy: () => null, lazyConnect: true });
    const failure = new Promise<Error & { lastNodeError?: Error }>((resolve) => cluster.on('error', resolve));
    await expect(cluster.connect()).rejects.toThrow();
    expect((await failure).lastNodeError?.message).toBe('ERR This instance has cluster support disabled');
    cluster.disconnect();
    const redis = new Redis(at);
    expect(await redis.info('cluster')).toContain('cluster_enabled:0');
    await redis.quit();
  });

  it.each([2, 3] as const)('serves node-redis with RESP%i', async (RESP) => {
    const client = createClient({ RESP, url: `redis://127.0.0.1:${station.port}` });
    client.on('error', () => {});
    await client.connect();
    const value = Buffer.alloc(2 * MiB, 'kv');
    expect(await client.set('k', value, { expiration: { type: 'EX', value: 100 } })).toBe('OK');
    const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    expect(((await bytes.get('k')) as unknown as Buffer).equals(value)).toBe(true);
    expect(await client.mGet(['k', 'none'])).toEqual([value.toString(), null]);
    expect(await client.exists(['k', 'none'])).toBe(1);
    expect(await client.del('k')).toBe(1);
    expect(await client.configGet('maxmemory')).toMatchObject({ maxmemory: String(64 * MiB) });
    client.destroy();
  });

  it('serves clients of the form of LMCache: two keys for each chunk, many connections', async () => {
    const connections = Array.from({ length: 40 }, () => new Redis(station.port, '127.0.0.1'));
    await Promise.all(
      connections.map(async (redis, i) => {
        const [metadata, bytes] = [`chunk@${i}metadata`, `chunk@${i}kv_bytes`];
        expect(await redis.exists(metadata)).toBe(0);
        const kv = Buffer.alloc(300_000, i);
        await redis.set(metadata, JSON.stringify({ length: kv.byteLength }));
        await redis.set(bytes, kv);
        expect(JSON.parse((await redis.get(metadata))!)).toEqual({ length: kv.byteLength });
        expect((await redis.getBuffer(bytes))?.equals(kv)).toBe(true);
        expect(await redis.del(metadata, bytes)).toBe(2);
        redis.disconnect();
      }),
    );
  });

  it.skipIf(!has('redis-cli'))('serves redis-cli', async () => {
    const cli = async (...args: string[]) =>
      (await run('redis-cli', ['-s', station.socketPath, ...args])).stdout.trim();
    expect(await cli('set', 'k', 'v', 'px', '100000')).toBe('OK');
    expect(await cli('-3', 'get', 'k')).toBe('v');
    expect(await cli('--scan')).toBe('k');
    expect(await cli('lrange', 'k', '0', '1')).toContain("ERR unknown command 'lrange'");
  });

  it.skipIf(!has('redis-benchmark'))('serves redis-benchmark', async () => {
    const args = ['-p', String(station.port), '-t', 'get,set', '-d', String(4 * MiB), '-n', '20', '-c', '4', '--csv'];
    const { stdout } = await run('redis-benchmark', args);
    expect(stdout).toMatch(/"SET"/);
    expect(stdout).toMatch(/"GET"/);
  });
});
