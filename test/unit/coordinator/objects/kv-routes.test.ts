import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openAccess } from '../../../../coordinator/access/open-access.js';
import { kvRoutes } from '../../../../coordinator/http/routes/kv.js';
import { type HttpServer, listen } from '../../../../coordinator/http/server.js';
import { NO_TRAIL } from '../../../../coordinator/trail/trail.js';
import { SystemClock } from '../../../../src/clock.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { CoarseUse } from '../../../../src/objects/coarse-use.js';
import { FleetObjects, type FleetObjectsOptions } from '../../../../src/objects/fleet-objects.js';
import { ValueStaging } from '../../../../src/objects/value-staging.js';
import { operatorKey } from '../../../../src/operator-key.js';
import { SystemRandom } from '../../../../src/random.js';
import { ALONE, RespStation } from '../../resp/support/resp-station.js';

/** `/v1/kv` on a real server, over the objects of one worker. */

const MiB = 2 ** 20;
const OBJECT_BYTES = 16 * MiB;

/** The objects of a fleet in which something happens between a look at an object and the read of its bytes. */
class ReplacedObjects extends FleetObjects {
  constructor(
    private readonly onLooked: () => Promise<void>,
    options: FleetObjectsOptions,
  ) {
    super(options);
  }

  override async look(...args: Parameters<FleetObjects['look']>): ReturnType<FleetObjects['look']> {
    const infos = await super.look(...args);
    await this.onLooked();
    return infos;
  }
}

describe('objects over HTTP', () => {
  let station: RespStation;
  let server: HttpServer;
  let staging: ValueStaging;
  /** Called after each look at an object, before it is read. */
  let onLooked: () => Promise<void>;

  async function open(apiKeys: string[] = []): Promise<void> {
    const clock = new SystemClock();
    staging = new ValueStaging(2 * OBJECT_BYTES);
    const objects = new ReplacedObjects(() => onLooked(), {
      ring: ALONE,
      clock,
      random: new SystemRandom(),
      nodeOf: () => station.objects.home,
      own: null,
    });
    const wallMs = () => Date.now();
    const config = { apiKeys, metricsKeys: [], keysFile: null, jwt: null, secret: 'a secret of the fleet' };
    const { access } = openAccess(config, { clock, log: SILENT_LOG, wallMs });
    server = await listen(
      kvRoutes({ objects, objectBytes: OBJECT_BYTES, staging, coarse: new CoarseUse(), clock, wallMs }),
      { host: '127.0.0.1', port: 0, closeGraceMs: 0 },
      { access, clock, log: SILENT_LOG, trail: NO_TRAIL, onEnd: () => {} },
    );
  }

  beforeEach(async () => {
    onLooked = async () => {};
    station = await RespStation.open();
  });

  afterEach(async () => {
    await server.close();
    await station.close();
    expect(staging.usedBytes).toBe(0);
  });

  const at = (key: string) => `${server.url}/v1/kv/${key}`;
  const put = (key: string, body: string | Buffer | ReadableStream, headers: Record<string, string> = {}) =>
    fetch(at(key), { method: 'PUT', body, headers, duplex: 'half' } as RequestInit);

  it('keeps values of all sizes, with their type and fields', async () => {
    await open();
    for (const bytes of [0, 1, MiB, 5 * MiB + 3]) {
      const sent = Buffer.alloc(bytes, 'xyz');
      const headers = { 'content-type': 'application/x-kv', 'x-shoal-meta-layer': '3' };
      const stored = await put('a/b%20c', sent, headers);
      expect(stored.status).toBe(bytes === 0 ? 201 : 200);
      expect(await stored.json()).toMatchObject({ key: 'a/b c', bytes });
      const read = await fetch(at('a/b%20c'));
      expect(Object.fromEntries(read.headers)).toMatchObject({
        'content-type': 'application/x-kv',
        'x-shoal-meta-layer': '3',
        'content-length': String(bytes),
        etag: stored.headers.get('etag'),
        'content-security-policy': expect.stringContaining('sandbox'),
      });
      expect(Buffer.from(await read.arrayBuffer()).equals(sent)).toBe(true);
    }
  });

  it('takes a value whose length the client does not say', async () => {
    await open();
    const parts = [Buffer.alloc(MiB, 'a'), Buffer.alloc(700_000, 'b'), Buffer.from('c')];
    const body = new ReadableStream({
      start: (sink) => {
        for (const part of parts) sink.enqueue(part);
        sink.close();
      },
    });
    const stored = await put('k', body);
    const again = await put('l', Buffer.concat(parts));
    expect(stored.headers.get('etag')).toBe(again.headers.get('etag'));
    expect(Buffer.from(await (await fetch(at('k'))).arrayBuffer()).equals(Buffer.concat(parts))).toBe(true);
  });

  it('answers ranges, and says what the client has already', async () => {
    await open();
    const sent = Buffer.alloc(3 * MiB, '0123456789');
    const etag = (await put('k', sent)).headers.get('etag')!;
    const range = async (text: string) => {
      const read = await fetch(at('k'), { headers: { range: text } });
      return [read.status, read.headers.get('content-range'), Buffer.from(await read.arrayBuffer()).toString()];
    };
    const { byteLength } = sent;
    expect(await range('bytes=10-19')).toEqual([206, `bytes 10-19/${byteLength}`, '0123456789']);
    expect(await range('bytes=-3')).toEqual([
      206,
      `bytes ${byteLength - 3}-${byteLength - 1}/${byteLength}`,
      sent.subarray(-3).toString(),
    ]);
    const across = (await range(`bytes=${MiB - 5}-${MiB + 4}`)) as unknown[];
    expect(across[2]).toBe(sent.subarray(MiB - 5, MiB + 5).toString());
    expect((await range(`bytes=${byteLength}-`))[0]).toBe(416);
    expect((await range('lines=1-2'))[0]).toBe(200);
    expect((await fetch(at('k'), { headers: { 'if-none-match': etag } })).status).toBe(304);
    const head = await fetch(at('k'), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(byteLength)]);
    expect((await fetch(at('none'), { method: 'HEAD' })).status).toBe(404);
  });

  it('reads and changes an object only if it has one of the ETags of If-Match', async () => {
    await open();
    const etag = (await put('k', '1')).headers.get('etag')!;
    const status = async (method: string, match: string) =>
      (await fetch(at('k'), { method, headers: { 'if-match': match }, ...(method === 'PUT' && { body: '1' }) })).status;
    for (const method of ['GET', 'HEAD', 'PUT']) {
      for (const match of ['*', etag, `"0", ${etag}`]) expect(await status(method, match)).toBe(200);
      for (const match of ['"0"', '"0", "1"', `W/${etag}`]) expect(await status(method, match)).toBe(412);
    }
    expect(await status('DELETE', '"0", "1"')).toBe(412);
    expect(await status('DELETE', `"0", ${etag}`)).toBe(200);
    expect(await status('PUT', '*')).toBe(412);
  });

  it('refuses a part of a value, a coded one, and one that is too large', async () => {
    await open();
    expect((await put('k', '1', { 'content-range': 'bytes 0-0/2' })).status).toBe(400);
    expect((await put('k', '1', { 'content-encoding': 'gzip' })).status).toBe(415);
    expect((await put('k', Buffer.alloc(OBJECT_BYTES + 1))).status).toBe(413);
    expect((await put('k', '1', { 'content-encoding': 'identity' })).status).toBe(201);
  });

  it('says how long an object still lives, and that a cache has to ask', async () => {
    await open();
    await put('k', '1', { 'x-shoal-ttl': '100' });
    const { headers } = await fetch(at('k'), { method: 'HEAD' });
    expect(Number(headers.get('x-shoal-ttl'))).toBeGreaterThan(50);
    expect(Number(headers.get('x-shoal-ttl'))).toBeLessThanOrEqual(100);
    expect(Date.parse(headers.get('x-shoal-expires-at')!)).toBeGreaterThan(Date.now() + 50_000);
    expect(headers.get('cache-control')).toBe('private, no-cache');
    await put('k', '1');
    expect((await fetch(at('k'))).headers.get('x-shoal-ttl')).toBeNull();
  });

  it('keeps no listeners while a client takes a large value', async () => {
    await open();
    await put('k', Buffer.alloc(OBJECT_BYTES));
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => warnings.push(name);
    process.on('warning', onWarning);
    try {
      expect((await (await fetch(at('k'))).arrayBuffer()).byteLength).toBe(OBJECT_BYTES);
    } finally {
      process.off('warning', onWarning);
    }
    expect(warnings).toEqual([]);
  });

  it('reads an object that is replaced after every look at it', async () => {
    await open();
    const value = (fill: string, bytes: number) => Buffer.alloc(bytes, fill);
    const values = [value('a', 2 * MiB), value('b', 3 * MiB), value('c', 10), value('d', MiB)];
    await put('k', values[0]!);
    const later = values.slice(1);
    onLooked = async () => {
      const next = later.shift();
      if (next !== undefined) await put('k', next);
    };
    const whole = await fetch(at('k'));
    expect([whole.status, whole.headers.get('content-length')]).toEqual([200, String(3 * MiB)]);
    expect(Buffer.from(await whole.arrayBuffer()).equals(values[1]!)).toBe(true);
    const part = await fetch(at('k'), { headers: { range: 'bytes=4-19' } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 4-19/${MiB}`]);
    expect(await part.text()).toBe('d'.repeat(16));
  });

  it('changes an object only under its conditions', async () => {
    await open();
    const first = (await put('k', '1', { 'if-none-match': '*' })).headers.get('etag')!;
    expect((await put('k', '2', { 'if-none-match': '*' })).status).toBe(412);
    expect((await put('k', '2', { 'if-match': '"0000000000000000"' })).status).toBe(412);
    expect((await put('k', '2', { 'if-match': first })).status).toBe(200);
    const remove = (headers: Record<string, string>) => fetch(at('k'), { method: 'DELETE', headers });
    expect((await remove({ 'if-match': first })).status).toBe(412);
    expect((await remove({})).status).toBe(200);
    expect((await remove({})).status).toBe(404);
    expect((await fetch(at('k'))).status).toBe(404);
  });

  it('lists keys by prefix, page by page, and says which exist', async () => {
    await open();
    for (let i = 0; i < 30; i++) await put(`a:${i}`, '1');
    for (let i = 0; i < 30; i++) await put(`b:${i}`, '1');
    const keys: string[] = [];
    for (let after: string | null = '0'; after !== null; ) {
      const page = await (await fetch(`${server.url}/v1/kv?prefix=a:&limit=7&after=${after}`)).json();
      keys.push(...(page as { data: { key: string }[] }).data.map(({ key }) => key));
      after = (page as { next: string | null }).next;
    }
    expect(new Set(keys)).toEqual(new Set(Array.from({ length: 30 }, (_, i) => `a:${i}`)));
    await put('exists', 'also a key');
    const asked = await fetch(at('exists'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ keys: ['a:1', 'none', 'exists'] }),
    });
    const { data } = (await asked.json()) as { data: { exists: boolean }[] };
    expect(data.map(({ exists }) => exists)).toEqual([true, false, true]);
    expect(await (await fetch(at('exists'))).text()).toBe('also a key');
  });

  it('takes keys of any bytes, a time to live, and shares them with the Redis protocol', async () => {
    await open();
    const key = Buffer.from([0xff, 0, 0x2f]);
    const url = `${at(key.toString('base64url'))}?encoding=base64url`;
    expect((await fetch(url, { method: 'PUT', body: 'x', headers: { 'x-shoal-ttl': '100' } })).status).toBe(201);
    const client = await station.client();
    expect(await client.call(['GET', key], ['TTL', key])).toEqual(['x', 100]);
    client.end();
    expect(await (await fetch(url)).text()).toBe('x');
    expect((await fetch(at('%ff'))).status).toBe(400);
    expect((await put('k', 'x', { 'x-shoal-ttl': '-1' })).status).toBe(400);
    expect((await put('x'.repeat(1025), 'x')).status).toBe(400);
  });

  it('refuses a value that is too large', async () => {
    await open();
    expect((await put('k', Buffer.alloc(OBJECT_BYTES + 1))).status).toBe(413);
    expect((await fetch(at('k'))).status).toBe(404);
  });

  it('shows a tenant no exact use of memory by all', async () => {
    const keys = ['key-of-one-tenant', 'key-of-another-one'];
    await open(keys);
    const use = async (key: string) => {
      const headers = { authorization: `Bearer ${key}` };
      return (await (await fetch(`${server.url}/v1/kv?view=memory`, { headers })).json()) as { objects: number };
    };
    const put = async (name: string) => {
      const headers = { authorization: `Bearer ${keys[1]}` };
      expect((await fetch(`${server.url}/v1/kv/${name}`, { method: 'PUT', headers, body: 'v' })).status).toBe(201);
    };
    for (let i = 0; i < 3; i++) await put(`k${i}`);
    expect(await use(keys[0]!)).toMatchObject({ objects: 0, bytes: 0, evicted: 0 });
    expect((await use(operatorKey('a secret of the fleet'))).objects).toBe(3);
  });

  it('needs a key where there are keys, and keeps tenants apart', async () => {
    const [one, two] = ['key-of-tenant-one', 'key-of-tenant-two'];
    await open([one!, two!]);
    const as = (key: string) => ({ authorization: `Bearer ${key}` });
    expect((await put('k', 'x')).status).toBe(401);
    expect((await put('k', 'x', as(one!))).status).toBe(201);
    expect((await fetch(at('k'))).status).toBe(401);
    expect((await fetch(at('k'), { headers: as(two!) })).status).toBe(404);
    expect((await fetch(at('k'), { headers: as(one!) })).status).toBe(200);
  });
});
