import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GreedyLoad } from '../../../../bench/chaos/running/greedy-load.js';
import { ProcessKiller } from '../../../../bench/chaos/running/killer.js';
import { type RunningChaos, runningChaos } from '../../../../bench/chaos/running/running-chaos.js';
import { FleetApi } from '../../../../bench/fleet/fleet-api.js';
import { SeededRandom } from '../../../../src/random.js';

const never = new AbortController().signal;

/** Knows workers by their ids, as a killer of processes does. */
class FakeKiller extends ProcessKiller {
  constructor(private readonly onKill: () => void) {
    super();
  }
  override async kill(): Promise<void> {
    this.onKill();
  }
}

describe('chaos against a running fleet', () => {
  let server: Server;
  let url: string;
  let incarnation: number;
  /** Answers a request and gives true, or leaves it to the default. */
  let special: (path: string, request: IncomingMessage, response: ServerResponse) => boolean;

  beforeEach(async () => {
    incarnation = 1;
    special = () => false;
    server = createServer((request, response) => {
      if (special(request.url!, request, response)) return;
      const worker = { id: 'worker-1', incarnation: String(incarnation), pid: 7, host: 'here', state: 'serving' };
      if (request.url === '/v1/fleet') response.end(JSON.stringify({ model: 'm', workers: [worker] }));
      else if (request.url === '/v1/completions') response.end(JSON.stringify({ choices: [{ text: 'same' }] }));
      else response.writeHead(404).end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    server.closeAllConnections();
    server.close();
  });

  function chaos(options: Partial<RunningChaos> = {}) {
    const killer = new FakeKiller(() => incarnation++);
    const random = new SeededRandom(1);
    const defaults = { url, apiKey: null, kill: 'any', everyMs: 20, forMs: 60, clients: 2, progress: () => {} };
    return runningChaos({ ...defaults, killer, random, signal: never, ...options });
  }

  it('takes a URL with a slash at its end, and asks this machine without a proxy', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new Error('the proxy knows no such host')));
    expect(await chaos({ url: `${url}/` })).toMatchObject({ pass: true, figures: { kills: 3, failed_requests: 0 } });
  });

  it('goes on when the coordinator does not answer once', async () => {
    let asked = 0;
    special = (path, request) => {
      // The first look is at the start; the second is before the first kill.
      const refused = path === '/v1/fleet' && ++asked === 2;
      if (refused) request.socket.destroy();
      return refused;
    };
    const lines: string[] = [];
    const row = await chaos({ progress: (line) => lines.push(line) });
    expect(row.figures.kills).toBe(2);
    expect(lines).toContain('the coordinator does not answer; not killing');
  });

  it('does not wait for a request that hangs when it is interrupted', async () => {
    const interrupt = new AbortController();
    let kills = 0;
    special = (path) => {
      const hangs = path === '/v1/completions' && kills > 0;
      if (hangs) interrupt.abort();
      return hangs;
    };
    const killer = new FakeKiller(() => {
      kills++;
      incarnation++;
    });
    const row = await chaos({ killer, forMs: 3_600_000, signal: interrupt.signal });
    expect(row.figures).toMatchObject({ failed_requests: 0, wrong_answers: 0 });
  });

  it('ends with a report when it is interrupted before the first kill', async () => {
    const interrupt = new AbortController();
    special = (path) => {
      if (path === '/v1/completions') interrupt.abort();
      return path === '/v1/completions';
    };
    expect(await chaos({ signal: interrupt.signal })).toMatchObject({
      pass: false,
      figures: { requests: 0, kills: 0 },
    });
  });

  it('gives up a request at its deadline, and goes on', async () => {
    let asked = 0;
    let resolve = () => {};
    const again = new Promise<void>((done) => {
      resolve = done;
    });
    special = (path) => {
      // One of `remember`, then one of the client, and the next after that has failed.
      if (++asked === 3) resolve();
      return path === '/v1/completions';
    };
    const load = new GreedyLoad(new FleetApi(url), 'm', never, 20);
    await expect(load.remember()).rejects.toThrow('the request failed');
    load.start(1);
    await again;
    expect(load.failed).toBeGreaterThanOrEqual(1);
    expect(load.notes[0]).toContain('no answer within 20 ms');
    await load.stop();
  });
});
