import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CallLink } from '../../../src/actors/links.js';
import { SimulatedClock, SystemClock } from '../../../src/clock.js';
import type { PeerAddress } from '../../../src/core/member.js';
import { InvalidRequest, Unavailable } from '../../../src/errors.js';
import { BUS_MESSAGE_BYTES } from '../../../src/limits.js';
import { type DialFailure, PeerCallLinks, type PeerCallLinksOptions } from '../../../src/peer/calls/peer-call-links.js';
import { PeerServer } from '../../../src/peer/server/peer-server.js';
import { SOCKETS } from '../../../src/peer/wire/network.js';
import { SystemRandom } from '../../../src/random.js';
import { BLOCK_BYTES, FINGERPRINT, MemoryHost } from './support/host.js';
import { SECRET } from './support/pair.js';
import { until } from './support/until.js';

/** Real sockets: a worker that listens, and a coordinator that dials it. */

type Via = 'unix' | 'tcp';

class End {
  readonly received: [string, Buffer][] = [];
  readonly opened: CallLink[] = [];
  readonly closed: CallLink[] = [];
  readonly lost: string[] = [];
  readonly links: PeerCallLinks;
  address: PeerAddress | null = null;

  constructor(
    readonly node: { readonly node: string; readonly incarnation: string },
    options: Partial<PeerCallLinksOptions> = {},
  ) {
    this.links = new PeerCallLinks({
      identity: { id: node.node, incarnation: node.incarnation, fingerprint: FINGERPRINT },
      hostId: 'here',
      secret: SECRET,
      clock: new SystemClock(),
      random: new SystemRandom(),
      addressOf: () => this.address,
      onLinkClosed: ({ node: id }) => this.lost.push(id),
      ...options,
    });
    this.links.listen({
      opened: (link) => this.opened.push(link),
      closed: (link) => this.closed.push(link),
      received: (link, message) => this.received.push([link.peer.node, Buffer.from(message)]),
    });
  }
}

const WORKER = { node: 'worker-1', incarnation: '0001' };
const COORDINATOR = { node: 'coordinator', incarnation: '0001' };

describe.each<Via>(['unix', 'tcp'])('links for calls over %s', (via) => {
  let folder: string;
  let worker: End;
  let coordinator: End;
  let server: PeerServer;

  const listen = async (onCalls = worker.links.accept): Promise<PeerServer> => {
    const identity = { id: WORKER.node, incarnation: WORKER.incarnation, fingerprint: FINGERPRINT };
    const host = new MemoryHost();
    const made = new PeerServer({
      identity,
      secret: SECRET,
      blockBytes: BLOCK_BYTES,
      host,
      roleOf: () => 'worker',
      onCalls,
    });
    const addresses = await made.listen({ unixPath: join(folder, 'worker.sock'), tcpHost: '127.0.0.1' });
    coordinator.address = { hostId: via === 'unix' ? 'here' : 'there', ...addresses };
    return made;
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-calls-'));
    worker = new End(WORKER);
    coordinator = new End(COORDINATOR);
    server = await listen();
  });
  afterEach(async () => {
    coordinator.links.close();
    worker.links.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const linked = async (): Promise<[CallLink, CallLink]> => {
    coordinator.links.connect(WORKER);
    await until(() => coordinator.opened.length > 0 && worker.opened.length > 0);
    return [coordinator.links.to(WORKER)!, worker.links.to(COORDINATOR)!];
  };

  it('carry messages of any allowed size both ways, in order, whole', async () => {
    const [there, back] = await linked();
    const sizes = [1, 100, 64 * 1024, 64 * 1024 + 1, BUS_MESSAGE_BYTES, 2, 3];
    const messages = sizes.map((size, i) => Buffer.alloc(size, i + 1));
    for (const message of messages) {
      there.send(message);
      back.send(message);
    }
    await until(() => coordinator.received.length === sizes.length && worker.received.length === sizes.length);
    for (const [end, from] of [
      [worker, 'coordinator'],
      [coordinator, 'worker-1'],
    ] as const) {
      expect(end.received.map(([peer]) => peer)).toEqual(sizes.map(() => from));
      for (const [i, [, message]] of end.received.entries()) expect(message.equals(messages[i]!)).toBe(true);
    }
  });

  it('are crowded at both ends while much is on its way', async () => {
    const [there, back] = await linked();
    expect([there.crowded, back.crowded]).toEqual([false, false]);
    for (let i = 0; i < 8; i++) there.send(Buffer.alloc(BUS_MESSAGE_BYTES, i));
    expect(there.crowded).toBe(true);
    await until(() => worker.received.length === 8);
    expect(back.crowded).toBe(true);
    await until(() => !there.crowded && !back.crowded);
  });

  it('carry what was sent in the same turn before they close', async () => {
    const [there] = await linked();
    const texts = Array.from({ length: 100 }, (_, i) => `message ${i}`);
    for (const text of texts) there.send(Buffer.from(text));
    coordinator.links.close();
    await until(() => worker.closed.length === 1);
    expect(worker.received.map(([, message]) => message.toString())).toEqual(texts);
  });

  it('refuse a message over the limit, and go on', async () => {
    const [there] = await linked();
    expect(() => there.send(Buffer.alloc(BUS_MESSAGE_BYTES + 1))).toThrow(InvalidRequest);
    there.send(Buffer.from('next'));
    await until(() => worker.received.length === 1);
    expect(worker.received[0]![1].toString()).toBe('next');
  });

  it('are one for each node, however often it is asked for', async () => {
    for (let i = 0; i < 5; i++) coordinator.links.connect(WORKER);
    expect(coordinator.links.to(WORKER)).toBeNull();
    await until(() => coordinator.opened.length > 0);
    for (let i = 0; i < 5; i++) coordinator.links.connect(WORKER);
    const [link] = [...coordinator.links.all()];
    expect(link?.peer).toEqual(WORKER);
    expect([...coordinator.links.all()]).toHaveLength(1);
    expect(server.connections).toBe(1);
  });

  it('are dialled by the first call to a node that has an address', async () => {
    expect(coordinator.links.to(WORKER)).toBeNull();
    await until(() => coordinator.opened.length > 0);
    expect(coordinator.links.to(WORKER)?.open).toBe(true);
  });

  it('tell both ends when one closes, and open again when the node is back', async () => {
    const [there] = await linked();
    await server.close();
    await until(() => coordinator.closed.length === 1 && worker.closed.length === 1);
    expect(there.open).toBe(false);
    expect(() => there.send(Buffer.from('late'))).toThrow(Unavailable);
    expect(coordinator.lost).toEqual(['worker-1']);
    server = await listen();
    await until(() => coordinator.opened.length === 2);
    coordinator.links.to(WORKER)!.send(Buffer.from('again'));
    await until(() => worker.received.length === 1);
  });

  it('are not opened to another node, or another incarnation, than the one that is meant', async () => {
    coordinator.links.connect({ node: 'worker-1', incarnation: '0002' });
    coordinator.links.connect({ node: 'worker-2', incarnation: '0001' });
    const [there] = await linked();
    expect(coordinator.opened).toEqual([there]);
    expect(coordinator.links.to({ node: 'worker-1', incarnation: '0002' })).toBeNull();
  });

  it('end when the node is forgotten, and are not reported as lost', async () => {
    const [there] = await linked();
    coordinator.links.forget(WORKER);
    coordinator.address = null;
    await until(() => worker.closed.length === 1);
    expect(there.open).toBe(false);
    expect(coordinator.lost).toEqual([]);
    expect(coordinator.links.to(WORKER)).toBeNull();
  });

  it('take the place of older ones of the same peer, whose messages are then not read', async () => {
    await linked();
    // The peer has lost its end, of which this side knows nothing yet.
    const again = new End(COORDINATOR);
    again.address = coordinator.address;
    again.links.connect(WORKER);
    await until(() => worker.opened.length === 2 && worker.closed.length === 1);
    const [older, newer] = worker.opened;
    expect([older!.open, newer!.open, worker.links.to(COORDINATOR)]).toEqual([false, true, newer]);
    expect(worker.lost).toEqual([]);
    again.links.close();
  });

  it('go over TCP where the path of the socket leads nowhere, and tell when nobody listens at any address', async () => {
    const path = join(folder, 'nobody.sock');
    await writeFile(path, '');
    const failures: DialFailure[] = [];
    const other = new End(
      { node: 'coordinator-2', incarnation: '1' },
      { onDialFailed: (_, failure) => failures.push(failure) },
    );
    other.address = { ...coordinator.address!, hostId: 'here', unixPath: path };
    other.links.connect(WORKER);
    await until(() => other.opened.length === 1);
    expect(failures.map(({ attempts, nobodyListens }) => [attempts, nobodyListens])).toEqual([[1, false]]);
    await server.close();
    await until(() => failures.length >= 3);
    expect(failures.slice(1, 3).map(({ attempts, nobodyListens }) => [attempts, nobodyListens])).toEqual([
      [1, false],
      [2, true],
    ]);
    other.links.close();
    server = await listen();
  });

  it('are no longer dialled after close', async () => {
    coordinator.links.close();
    coordinator.links.connect(WORKER);
    expect(coordinator.links.to(WORKER)).toBeNull();
    expect(server.connections).toBe(0);
  });

  it('refuse a stranger with another secret', async () => {
    const stranger = new End({ node: 'stranger', incarnation: '1' }, { secret: 'not the secret of this fleet' });
    stranger.address = coordinator.address;
    stranger.links.connect(WORKER);
    const [there] = await linked();
    there.send(Buffer.from('still served'));
    await until(() => worker.received.length === 1);
    expect(worker.opened).toHaveLength(1);
    expect(stranger.opened).toEqual([]);
    stranger.links.close();
  });
});

it.each([
  [1, 10],
  [1_000, 1_000],
])('nodes that cannot be reached are dialled again and again: %i of them %i times in 20 s', async (nodes, most) => {
  const clock = new SimulatedClock();
  let dials = 0;
  const dial = () => {
    dials++;
    throw new Unavailable('nobody listens');
  };
  const end = new End(COORDINATOR, { clock, network: { ...SOCKETS, dial } });
  end.address = { hostId: 'here', unixPath: '/nowhere/worker.sock', tcpHost: null, tcpPort: null };
  for (let i = 0; i < nodes; i++) end.links.connect({ node: `worker-${i}`, incarnation: '0001' });
  await clock.advance(60_000);
  dials = 0;
  await clock.advance(20_000);
  expect(dials).toBeGreaterThan(most / 2);
  expect(dials).toBeLessThanOrEqual(most + nodes / 10);
  end.links.close();
});
