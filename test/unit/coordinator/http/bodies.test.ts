import { once } from 'node:events';
import { IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import { BodyBudget } from '../../../../coordinator/http/body-budget.js';
import { JsonShape } from '../../../../coordinator/http/json-shape.js';
import { LongJobs } from '../../../../coordinator/http/long-jobs.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { Overloaded } from '../../../../src/errors.js';
import { until } from '../../peer/support/until.js';
import { answerOf, connectTo } from '../support/raw.js';
import { saying } from '../support/scripted-fleet.js';
import { idsOf, testServer } from '../support/test-server.js';

const MiB = 2 ** 20;
const HEAD = ['host: localhost', 'content-type: application/json'];

/** Sends the head of a request and the beginning of its body; the rest never comes. */
function begin(url: string, first: string, bytes: number, sent = 0, headers = HEAD): Socket {
  const socket = connectTo(url);
  socket.write(`${[`${first} HTTP/1.1`, ...headers, `content-length: ${bytes}`].join('\r\n')}\r\n\r\n`);
  if (sent > 0) socket.write(Buffer.alloc(sent, 0x20));
  return socket;
}

const statusOf = async (socket: Socket) => answerOf(String((await once(socket, 'data'))[0])).status;

describe('the head of a request', () => {
  it('alone decides about unknown paths, wrong methods, keys, types and lengths: the body is not awaited', async () => {
    const { url } = await testServer({ apiKeys: ['a-key-that-is-long-enough'] });
    const key = [...HEAD, 'authorization: Bearer a-key-that-is-long-enough'];
    expect(await statusOf(begin(url, 'POST /nope', 8 * MiB))).toBe(404);
    expect(await statusOf(begin(url, 'PUT /v1/completions', 8 * MiB))).toBe(405);
    expect(await statusOf(begin(url, 'POST /v1/completions', 8 * MiB))).toBe(401);
    expect(await statusOf(begin(url, 'POST /v1/completions', 9 * MiB, 0, key))).toBe(413);
    const text = key.map((line) => line.replace('application/json', 'text/plain'));
    expect(await statusOf(begin(url, 'POST /v1/completions', 8 * MiB, 0, text))).toBe(415);
  });

  it('is answered to a client that sends the whole body, and wants the connection closed', async () => {
    const { url, post } = await testServer({ bodyBudgetBytes: 2 * MiB });
    const body = ' '.repeat(8 * MiB);
    const status = (path: string) =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': body.length };
        const sent = request(new URL(path, url), { method: 'POST', agent: false, headers }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        sent.on('error', reject).end(body);
      });
    expect(await Promise.all([1, 2, 3].map(() => status('/nope')))).toEqual([404, 404, 404]);
    expect(await status('/tokenize')).toBe(429);
    expect((await post('/tokenize', { prompt: 'x' })).status).toBe(200);
  });
});

describe('a body in chunks of one byte', () => {
  const KEY = 'a-key-that-is-long-enough';
  /** Resolves with what the server has said when it closes the connection, and the number of chunks that it has handled. */
  async function flood(url: string, first: string, headers: readonly string[]) {
    const pushed = vi.spyOn(IncomingMessage.prototype, 'push');
    const socket = connectTo(url);
    socket.write(`${[`${first} HTTP/1.1`, ...headers, 'transfer-encoding: chunked'].join('\r\n')}\r\n\r\n`);
    let said = '';
    socket.on('data', (data) => {
      said += data;
    });
    const part = '1\r\na\r\n'.repeat(20_000);
    const more = () => void (socket.writable && socket.write(part, more));
    more();
    await new Promise((resolve) => socket.once('close', resolve));
    const chunks = pushed.mock.calls.length;
    pushed.mockRestore();
    return { status: answerOf(said).status, chunks };
  }

  it.each([
    ['POST /nope', HEAD, 404],
    ['GET /health/live', HEAD, 413],
    ['POST /v1/completions', HEAD, 401],
    ['PUT /v1/completions', HEAD, 405],
    ['POST /v1/completions', [...HEAD, `authorization: Bearer ${KEY}`], 400],
    ['GET /version', [...HEAD, 'expect: nothing'], 417],
  ] as const)('to %s %j is answered, and its connection closed after few of them', async (first, headers, status) => {
    const { url } = await testServer({ apiKeys: [KEY] });
    const answer = await flood(url, first, headers);
    // The kernel drops an answer that the client has not read when a connection is closed with bytes that nobody has read.
    expect([status, Number.NaN]).toContain(answer.status);
    expect(answer.chunks).toBeLessThan(2_000);
  });

  it('is refused with a reason to a client that waits for it, and the next body is read', async () => {
    const { url, post } = await testServer();
    const head = ['POST /tokenize HTTP/1.1', ...HEAD, 'transfer-encoding: chunked'].join('\r\n');
    for (let i = 0; i < 3; i++) {
      const socket = connectTo(url);
      socket.write(`${head}\r\n\r\n${'1\r\n \r\n'.repeat(1_025)}`);
      const answer = answerOf(await text(socket));
      expect([answer.status, answer.headers.get('connection')]).toEqual([400, 'close']);
      expect(answer.body).toContain('chunks of fewer than 256 bytes on average');
    }
    const few = connectTo(url);
    few.write(`${head}\r\n\r\n${[...'{"prompt":"x"}'].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`);
    expect(await statusOf(few)).toBe(200);
    for (let i = 0; i < 8; i++) expect((await post('/tokenize', { prompt: 'x' })).status).toBe(200);
  });
});

describe('all bodies together', () => {
  it('have a budget, which a request gives back at its end', async () => {
    const { url, post } = await testServer({ bodyBudgetBytes: MiB });
    const refused = await post('/tokenize', { note: 'x'.repeat(900_000) });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await refused.text()).toContain('--body-budget (SHOAL_BODY_BUDGET)');
    for (let i = 0; i < 4; i++) expect((await post('/tokenize', { note: 'x'.repeat(600_000) })).status).toBe(400);
    const cut = begin(url, 'POST /tokenize', MiB, 700_000);
    await once(cut, 'drain');
    cut.destroy();
    let again = await post('/tokenize', { note: 'x'.repeat(600_000) });
    while (again.status === 429) again = await post('/tokenize', { note: 'x'.repeat(600_000) });
    expect(again.status).toBe(400);
  });

  it('leave a part of it to small ones', () => {
    const budget = new BodyBudget(MiB, new SimulatedClock());
    const large = budget.open(() => {});
    large.take(700_000);
    expect(() => large.take(200_000)).toThrow(Overloaded);
    const small = budget.open(() => {});
    small.take(60_000);
    expect(budget.usedBytes).toBe(760_000);
    for (const share of [large, large, small]) share.release();
    expect(budget.usedBytes).toBe(0);
  });

  it('lose those that stall while others need their memory', async () => {
    const clock = new SimulatedClock();
    const budget = new BodyBudget(MiB, clock);
    const evicted: number[] = [];
    const [stalled, whole, alive] = [0, 1, 2].map((nth) => budget.open(({ status }) => evicted.push(nth, status)));
    stalled!.take(300_000);
    whole!.take(300_000);
    whole!.complete();
    await clock.advance(1_000);
    alive!.take(100_000);
    await clock.advance(999);
    expect(() => budget.open(() => {}).take(200_000)).toThrow(Overloaded);
    await clock.advance(1);
    budget.open(() => {}).take(200_000);
    expect([evicted, budget.usedBytes]).toEqual([[0, 408], 600_000]);
    expect(() => budget.open(() => {}).take(200_000)).toThrow(Overloaded);
  });
});

describe('JSON', () => {
  it.each([
    ['lists inside each other', '['.repeat(129)],
    ['lists', '[],'.repeat(33_000)],
    ['objects', '{},'.repeat(33_000)],
    ['keys', Array.from({ length: 66_000 }, (_, i) => `"${i}":1`).join(',')],
    ['strings', '"",'.repeat(66_000)],
    ['values', '1,'.repeat(1_100_000)],
    ['members of one object', `{"x":{${Array.from({ length: 4_097 }, (_, i) => `"${i}":1`).join(',')}}}`],
  ])('of too many %s is refused unparsed', async (_, body) => {
    const { post } = await testServer();
    const response = await post('/v1/completions', body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'json_too_complex' } });
  });

  it('of one long text, or of many token ids, is not', async () => {
    const { post, fleet } = await testServer();
    fleet.script = () => saying(idsOf(' yes'));
    const escaped = { prompt: 'x', user: 'me', note: '[{"'.repeat(400_000) };
    expect((await post('/v1/completions', escaped)).status).toBe(200);
    const ids = await post('/v1/completions', { prompt: Array(300_000).fill(1) });
    expect(await ids.json()).toMatchObject({ error: { param: 'prompt' } });
  });

  it('is counted alike however it is cut into pieces', () => {
    const text = Buffer.from(`{"a\\"[[[":["]\\\\",${'['.repeat(127)}`);
    for (let size = 1; size <= text.length; size++) {
      const shape = new JsonShape();
      const take = () => {
        for (let at = 0; at < text.length; at += size) shape.take(text.subarray(at, at + size));
      };
      expect(take).toThrow('at most 128 arrays and objects inside each other');
    }
  });
});

describe('long jobs', () => {
  it('leave a turn of the event loop, and as much time as they took, to others', async () => {
    const clock = new SimulatedClock();
    let spentMs = 0;
    const turns = new LongJobs({
      now: () => clock.now() + spentMs,
      after: (delayMs, fn) => clock.after(delayMs, fn),
      every: (intervalMs, fn) => clock.every(intervalMs, fn),
    });
    const done: string[] = [];
    const job = (name: string, tookMs: number) =>
      turns.run(() => {
        spentMs += tookMs;
        done.push(name);
      });
    const failed = turns.run(() => {
      throw new Error('no');
    });
    void job('a', 30);
    void job('b', 0);
    void job('c', 0);
    await expect(failed).rejects.toThrow('no');
    await until(() => done.length === 1);
    await clock.advance(29);
    expect(done).toEqual(['a']);
    await clock.advance(1);
    await until(() => done.length === 3);
    expect(done).toEqual(['a', 'b', 'c']);
  });
});
