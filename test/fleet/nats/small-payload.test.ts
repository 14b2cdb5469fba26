import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import { InvalidRequest, Refused, Unavailable } from '../../../src/errors.js';
import { BUS_MESSAGE_BYTES } from '../../../src/limits.js';
import { once } from '../../contract/bus-suite.js';
import { JoinedCoordinator } from '../support/joined-coordinator.js';
import { JoinedProcess } from '../support/joined-process.js';

const SMALL_BYTES = 64 * 1024;
const SECRET = { SHOAL_SECRET: 'a secret of the fleet in this test', SHOAL_LOG_LEVEL: 'info' };

describe('a NATS server that takes small messages only', () => {
  let dir: string;
  let path: string;
  const servers: PlainNats[] = [];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    path = (await findNatsServer()).path;
    await writeFile(join(dir, 'small.conf'), `max_payload: ${SMALL_BYTES}`);
  });
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop('SIGKILL')));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  async function started(...args: readonly string[]): Promise<PlainNats> {
    const server = await plainNats(path, args);
    servers.push(server);
    return server;
  }

  const small = (...args: readonly string[]) => started('-c', join(dir, 'small.conf'), ...args);

  /** A server with the default limit, and a function that moves its clients to a small one. */
  async function movable(): Promise<{ urls: string; move: () => Promise<void> }> {
    const [first, later] = [await started(), await small()];
    await later.stop('SIGKILL');
    const move = async () => {
      await small('-p', new URL(later.url).port);
      await first.stop('SIGKILL');
    };
    return { urls: `${first.url},${later.url}`, move };
  }

  it('is refused by every role at its start, with its limit, the limit that is needed, and the remedy', async () => {
    const { url } = await small();
    for (const role of ['coordinator', 'worker', 'up']) {
      const args = role === 'up' ? ['--workers', '1', '--port', '0'] : role === 'coordinator' ? ['--port', '0'] : [];
      const started = new JoinedProcess([role, ...args], { ...SECRET, SHOAL_NATS: url });
      expect(await started.ended).toBe(1);
      const said = started.lines.join('\n');
      expect(said).toContain(`takes messages of at most ${SMALL_BYTES} bytes`);
      expect(said).toContain(`shoal sends up to ${BUS_MESSAGE_BYTES} bytes; set max_payload to 1048576`);
    }
    await expect(connectNats({ url, waitForServer: true })).rejects.toThrow(Refused);
  });

  it('carries small messages once the connection has moved there, and blames no worker for large ones', async () => {
    const { urls, move } = await movable();
    const bus = await connectNats({ url: urls });
    expect(bus.shortcoming).toBeNull();
    const found = new Promise<void>((resolve) => bus.onStatus((status) => status === 'found' && resolve()));
    await move();
    await found;
    expect(bus.shortcoming).toContain(`at most ${SMALL_BYTES} bytes`);
    const heard = once(bus, 'news');
    bus.publish('news', new Uint8Array(SMALL_BYTES));
    expect((await heard).payload.byteLength).toBe(SMALL_BYTES);
    expect(() => bus.publish('news', new Uint8Array(SMALL_BYTES + 1))).toThrow(Unavailable);
    expect(() => bus.publish('news', new Uint8Array(BUS_MESSAGE_BYTES + 1))).toThrow(InvalidRequest);
    await bus.close();
  });

  it('is named by the log and by the health of a coordinator that moved there', async () => {
    const { urls, move } = await movable();
    const coordinator = await JoinedCoordinator.start('c', { ...SECRET, SHOAL_NATS: urls });
    await move();
    const fault = 'takes messages of at most 65536 bytes';
    await coordinator.process.logged(fault);
    const health = await (await fetch(`${coordinator.url}/health`)).json();
    expect(health).toMatchObject({ checks: [{ name: 'nats', ok: false, detail: expect.stringContaining(fault) }, {}] });
    await coordinator.stop();
  });
});
