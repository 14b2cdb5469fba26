import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { run } from '../../../cli/program.js';

/** A coordinator that gives these answers about a worker one after another, and the last one again and again. */
async function coordinator(...answers: readonly { safe: boolean; why: string }[]) {
  return fleetOf(['serving', 'serving'], answers);
}

/** The same, in a fleet whose workers w1, w2 and so on are in these states. */
async function fleetOf(states: readonly string[], answers: readonly { safe: boolean; why: string }[]) {
  const asked: string[] = [];
  const left = [...answers];
  const fleet = { model: 'm', replicas: 2, epoch: 'e', coordinators: [], workers: states.map(row) };
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.setHeader('content-type', 'application/json');
    if (request.url === '/v1/fleet') return void response.end(JSON.stringify(fleet));
    const answer = request.method === 'GET' ? { id: 'w1', ...(left.length > 1 ? left.shift() : left[0]) } : {};
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function row(state: string, index: number) {
  const bytes = { device: 0, host: 0 };
  const load = { blocks: 0, running: 0, waiting: 0, hit_rate: 0 };
  return { id: `w${index + 1}`, state, pid: 1, host: 'h', device: 'cpu', bytes, budget: bytes, ...load };
}

async function shoal(...args: string[]) {
  let [out, err] = ['', ''];
  const io = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  };
  return { code: await run(args, { environment: {}, io }), out, err };
}

const BUSY = { safe: false, why: '1 requests have not ended' };
const DONE = { safe: true, why: 'it has no request, and no last copy' };

describe('draining a worker by the command line', () => {
  it('ends when the worker can end, twice in a row', async () => {
    const { asked, url } = await coordinator(BUSY, DONE, BUSY, DONE, DONE);
    const { code, out } = await shoal('drain', 'w1', '--url', url);
    expect(code).toBe(0);
    expect(out.trim().split('\n').at(-1)).toBe('worker w1 may end: it has no request, and no last copy');
    expect(asked.slice(1)).toEqual([
      'POST /v1/fleet/workers/w1/drain',
      ...Array(5).fill('GET /v1/fleet/workers/w1/drain'),
    ]);
  });

  it('fails when the time is over, and says what to do', async () => {
    const { url } = await coordinator(BUSY);
    const { code, err } = await shoal('drain', 'w1', '--url', url, '--drain-timeout', '0s');
    expect(code).toBe(1);
    expect(err).toContain('worker w1 must not end yet: 1 requests have not ended; it drains on');
    expect(err).toContain('shoal undrain w1');
  });

  it('leaves the last worker that serves alone, unless it is told to', async () => {
    const { asked, url } = await fleetOf(['serving', 'draining'], [DONE]);
    const refused = await shoal('drain', 'w1', '--url', url);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('w1 is the only one that serves') });
    expect(asked).toEqual(['GET /v1/fleet']);
    expect((await shoal('drain', 'w2', '--url', url)).code).toBe(0);
    expect((await shoal('drain', 'w1', '--force', '--url', url)).code).toBe(0);
  });

  it('takes a drain back', async () => {
    const { asked, url } = await coordinator(DONE);
    expect(await shoal('undrain', 'w/1', '--url', url)).toMatchObject({ code: 0, out: 'worker w/1 serves again\n' });
    expect(asked).toEqual(['POST /v1/fleet/workers/w%2F1/undrain']);
  });
});
