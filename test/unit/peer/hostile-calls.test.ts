import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ActorEvent } from '../../../src/actors/event.js';
import { packLinked } from '../../../src/actors/linked-message.js';
import { ask, type Behavior, defineProtocol, tell } from '../../../src/actors/protocol.js';
import type { ActorRef } from '../../../src/actors/ref.js';
import { ActorSystem } from '../../../src/actors/system.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { type Clock, SimulatedClock, SystemClock } from '../../../src/clock.js';
import { BUS_MESSAGE_BYTES, CALLS_IN_FLIGHT, FRAME_HEADER_BYTES, STREAM_WINDOW_ITEMS } from '../../../src/limits.js';
import { PeerCallLinks } from '../../../src/peer/calls/peer-call-links.js';
import { PeerServer } from '../../../src/peer/server/peer-server.js';
import { packFrame } from '../../../src/peer/wire/frame.js';
import { failureOf } from '../../../src/peer/wire/message-format.js';
import { SystemRandom } from '../../../src/random.js';
import { encode } from '../../../src/wire/msgpack.js';
import { BLOCK_BYTES, FINGERPRINT, MemoryHost } from './support/host.js';
import { ALICE, BOB, SECRET } from './support/pair.js';
import { provedClient, provedServer } from './support/raw-peer.js';
import { until } from './support/until.js';

/**
 * A member's connections for calls with a peer that knows the secret and breaks the rules: the connection closes or the message is dropped and
 * counted, and calls of other peers go on.
 */

const MESSAGE = 64;
const BEAT = 65;
const ERROR = 38;
const NONE = new Uint8Array(0);
const SOME = Uint8Array.of(1, 2, 3);
const MALLORY = { id: 'mallory', incarnation: '0001', fingerprint: FINGERPRINT };

const EchoProtocol = defineProtocol('echo', {
  say: ask(z.strictObject({ bytes: z.int() }), z.instanceof(Uint8Array)),
  wait: ask(z.strictObject({}), z.null()),
  hear: tell(z.strictObject({ bytes: z.int() })),
});

/** A member of the fleet on real sockets, with one actor. */
class MemberUnderTest {
  readonly events: ActorEvent[] = [];
  readonly links: PeerCallLinks;
  readonly actors: ActorSystem;
  readonly closed: string[] = [];
  heard = 0;
  waiting = 0;
  /** Where others can be dialled, by id. */
  readonly sockets = new Map<string, string>();

  constructor(
    identity: typeof BOB,
    broker: MemoryBroker,
    readonly clock: Clock,
  ) {
    const node = { id: identity.id, incarnation: identity.incarnation };
    this.links = new PeerCallLinks({
      identity,
      hostId: 'here',
      secret: SECRET,
      clock,
      random: new SystemRandom(),
      addressOf: ({ node: id }) => {
        const unixPath = this.sockets.get(id);
        return unixPath === undefined ? null : { hostId: 'here', unixPath, tcpHost: null, tcpPort: null };
      },
      onLinkClosed: ({ node: id }, { code }) => this.closed.push(`${id} ${code}`),
    });
    this.actors = new ActorSystem({
      bus: broker.connect(identity.id),
      links: this.links,
      clock,
      random: new SystemRandom(),
      node,
      namespace: 'fleet',
      observe: (event) => this.events.push(event),
    });
    this.actors.start();
  }

  spawn(): Promise<ActorRef<typeof EchoProtocol>> {
    const behavior: Behavior<typeof EchoProtocol> = {
      say: ({ bytes }) => new Uint8Array(bytes),
      wait: (_, { signal }) => {
        this.waiting++;
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            this.waiting--;
            resolve(null);
          });
        });
      },
      hear: () => {
        this.heard++;
      },
    };
    return this.actors.spawn(EchoProtocol, 'echo', () => behavior);
  }

  dropped(reason: string): number {
    return this.events.filter((event) => event.type === 'dropped' && event.reason === reason).length;
  }

  async close(): Promise<void> {
    await this.actors.stop();
    this.links.close();
  }
}

/** The hostile end of a connection for calls. */
interface Hostile {
  readonly socket: net.Socket;
  readonly closed: Promise<void>;
  sendFrame(code: number, request: number, header: Uint8Array, payloadBytes: number, payload?: Uint8Array): void;
}

let folder: string;
let broker: MemoryBroker;
let bob: MemberUnderTest;
let friend: MemberUnderTest;
let server: PeerServer;
let echo: ActorRef<typeof EchoProtocol>;
/** Servers of Mallory's. */
let traps: net.Server[];

async function open(clock: Clock = new SystemClock(), friends: Clock = new SystemClock()): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'shoal-hostile-'));
  broker = new MemoryBroker();
  bob = new MemberUnderTest(BOB, broker, clock);
  friend = new MemberUnderTest(ALICE, broker, friends);
  server = new PeerServer({
    roleOf: () => 'worker',
    identity: BOB,
    secret: SECRET,
    blockBytes: BLOCK_BYTES,
    host: new MemoryHost(),
    onCalls: bob.links.accept,
  });
  await server.listen({ unixPath: join(folder, 'bob.sock') });
  friend.sockets.set('bob', join(folder, 'bob.sock'));
  traps = [];
  const { address } = await bob.spawn();
  echo = friend.actors.ref(EchoProtocol, address);
  friend.links.connect({ node: 'bob', incarnation: BOB.incarnation });
  await until(() => friend.actors.routeTo(bob.actors.node).kind === 'direct');
}

async function close(): Promise<void> {
  await friend.close();
  await bob.close();
  for (const trap of traps) trap.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
}

beforeEach(() => open());
afterEach(() => close());

/** Mallory dials Bob. */
async function dials(): Promise<Hostile> {
  const peer = await provedClient(join(folder, 'bob.sock'), MALLORY, SECRET, 'calls');
  await until(() => linkedToMallory());
  // From here on a test says what it likes, and what it is told is not looked at.
  peer.socket.removeAllListeners('data');
  peer.socket.resume();
  return peer;
}

/** The friend dials Mallory, who poses as Bob: the server of `provedServer` has that name. */
async function isDialled(): Promise<Hostile> {
  const path = join(folder, 'mallory.sock');
  const dialled = new Promise<Hostile>((resolve, reject) => {
    const ready = (peer: Hostile) => {
      peer.socket.removeAllListeners('data');
      peer.socket.resume();
      resolve(peer);
    };
    provedServer(path, ready).then((trap) => {
      traps.push(trap);
      friend.sockets.set('bob', path);
      friend.links.forget({ node: 'bob', incarnation: BOB.incarnation });
      friend.links.connect({ node: 'bob', incarnation: BOB.incarnation });
    }, reject);
  });
  const peer = await dialled;
  await until(() => friend.actors.routeTo(bob.actors.node).kind === 'direct');
  return peer;
}

function linkedToMallory(): boolean {
  return bob.actors.linkedNodes().some(({ node }) => node === 'mallory');
}

/** Bob is well, and the friend's calls take the direct way. */
async function expectUnharmed(): Promise<void> {
  expect(friend.actors.routeTo(bob.actors.node).kind).toBe('direct');
  expect(await echo.ask('say', { bytes: 3 })).toHaveLength(3);
  expect(friend.closed).toEqual([]);
  expect(bob.events.filter(({ type }) => type !== 'dropped')).toEqual([]);
}

const { code, message } = failureOf(new Error('no reason'));

/** Frames that no connection for calls has. */
const WRONG: readonly [string, (peer: Hostile) => void][] = [
  ...[0, 1, 2, 3, 4, 16, 20, 32, 37, 39, 63, 66, 255].map((type): [string, (peer: Hostile) => void] => [
    `a frame of type ${type}`,
    (peer) => peer.sendFrame(type, 0, encode({}), 0),
  ]),
  ['a message in header and payload', (peer) => peer.sendFrame(MESSAGE, 0, SOME, 3, SOME)],
  ['a message in neither', (peer) => peer.sendFrame(MESSAGE, 0, NONE, 0)],
  ['a message with the number of a request', (peer) => peer.sendFrame(MESSAGE, 1, SOME, 0)],
  ['a beat with the number of a request', (peer) => peer.sendFrame(BEAT, 7, NONE, 0)],
  ['a beat with a header', (peer) => peer.sendFrame(BEAT, 0, SOME, 0)],
  ['a beat with a payload', (peer) => peer.sendFrame(BEAT, 0, NONE, 3, SOME)],
  ['a header over the limit', (peer) => peer.sendFrame(MESSAGE, 0, new Uint8Array(FRAME_HEADER_BYTES + 1), 0)],
  ['a payload over the limit', (peer) => peer.sendFrame(MESSAGE, 0, NONE, BUS_MESSAGE_BYTES + 1)],
  ['a payload of 4 GiB', (peer) => peer.sendFrame(MESSAGE, 0, NONE, 0xffffffff)],
  ['an error', (peer) => peer.sendFrame(ERROR, 0, encode({ code, message }), 0)],
  ['an error that is none', (peer) => peer.sendFrame(ERROR, 0, encode({ code: 'tea' }), 0)],
  ['an error that is not msgpack', (peer) => peer.sendFrame(ERROR, 0, Uint8Array.of(0xc1), 0)],
  ['an error with a payload', (peer) => peer.sendFrame(ERROR, 0, encode({ code, message }), 3, SOME)],
  ['garbage', (peer) => peer.socket.write(new SystemRandom().bytes(2_000))],
  [
    'a frame whose header was changed',
    (peer) => {
      const frame = packFrame(MESSAGE, 0, SOME, 0);
      frame[frame.byteLength - 1]! ^= 1;
      peer.socket.write(frame);
    },
  ],
];

describe('a connection for calls that was dialled by a hostile peer', () => {
  it.each(WRONG)('is closed by %s', async (_, send) => {
    const peer = await dials();
    send(peer);
    await peer.closed;
    await until(() => bob.closed.length === 1);
    expect(bob.closed[0]).toMatch(/^mallory (corrupt|internal)$/);
    expect(linkedToMallory()).toBe(false);
    await expectUnharmed();
  });

  it('is closed by random bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), async (bytes) => {
        const peer = await dials();
        peer.socket.end(bytes);
        await peer.closed;
        await until(() => !linkedToMallory());
      }),
      { numRuns: 40 },
    );
    await expectUnharmed();
  });

  it('is closed if the rest of a frame does not come', async () => {
    await close();
    const clock = new SimulatedClock();
    await open(clock);
    const halves = [
      packFrame(MESSAGE, 0, SOME, 0).subarray(0, 20),
      packFrame(MESSAGE, 0, SOME, 0).subarray(0, -1),
      Buffer.concat([packFrame(MESSAGE, 0, NONE, 1_000), SOME]),
    ];
    for (const half of halves) {
      const peer = await dials();
      peer.socket.write(half);
      // What was written before the end has come when the answer to this is there.
      await echo.ask('say', { bytes: 1 });
      // The friend's process is not asleep meanwhile: its own clock makes it send beats.
      await clock.advance(5_000);
      await peer.closed;
      await until(() => !linkedToMallory());
    }
    expect(bob.closed.filter((line) => line === 'mallory unavailable')).toHaveLength(halves.length);
  });
});

describe('a connection for calls that was dialled to a hostile peer', () => {
  it.each(WRONG)('is closed by %s, and dialled again', async (_, send) => {
    const peer = await isDialled();
    send(peer);
    await peer.closed;
    await until(() => friend.closed.length === 1);
    expect(friend.closed[0]).toMatch(/^bob (corrupt|internal)$/);
    // The true one is there again.
    friend.sockets.set('bob', join(folder, 'bob.sock'));
    await until(() => friend.actors.routeTo(bob.actors.node).kind === 'direct');
    expect(await echo.ask('say', { bytes: 3 })).toHaveLength(3);
  });
});

/** A call as Mallory may make it. */
function call(id: number, method: 'say' | 'wait', request: object): Uint8Array {
  const sender = { node: MALLORY.id, incarnation: MALLORY.incarnation };
  const fields = { protocol: 'echo', actor: 'echo', method, kind: 'ask' as const, deadlineMs: null, request };
  return packLinked({ to: 'node', message: { type: 'call', id, from: sender, ...fields } });
}

function say(peer: Hostile, message: Uint8Array): void {
  if (message.byteLength <= FRAME_HEADER_BYTES) peer.sendFrame(MESSAGE, 0, message, 0);
  else peer.sendFrame(MESSAGE, 0, NONE, message.byteLength, message);
}

const from = { node: 'mallory', incarnation: '0001' };

/** Messages that mean nothing, each in a frame that is right. The numbers of their types are those of docs/PEER-PROTOCOL.md. */
const MEANINGLESS: readonly [string, Uint8Array][] = [
  ['bytes that are not msgpack', Uint8Array.of(0xc1)],
  ['msgpack that ends too soon', encode([4, [[1, 0]]]).subarray(0, -2)],
  ['two values', Buffer.concat([encode([2, 1]), encode(1)])],
  ['a value that is not a message', encode({ type: 'call' })],
  ['a message without a type', encode([])],
  ['a message without fields', encode([2])],
  ['a message of a type that does not exist', encode([12, 1])],
  ['a message of a negative type', encode([-1, 1])],
  ['a message whose type is no whole number', encode([1.5, 1])],
  ['a message whose type is a name', encode(['cancel', 1])],
  ['a message with a field too many', encode([2, 1, 1])],
  ['a message with a field too few', encode([3, 1])],
  ['a call with the number 0', encode([2, 0])],
  ['a call with a number that no double holds exactly', encode([2, 2 ** 53])],
  ['a count below 0', encode([3, 1, -1])],
  ['a name that is too long', encode([10, 1, 'echo', 'x'.repeat(129)])],
  ['a look-up without a name', encode([10, 1, 'echo', ''])],
  ['a call without a kind', encode([1, 1, 'echo', 'echo', 'say', 3, null, {}])],
  ['a call with a deadline before now', encode([1, 1, 'echo', 'echo', 'say', 0, -1, {}])],
  ['a call with a deadline that is not a number', encode([1, 1, 'echo', 'echo', 'say', 0, 'soon', {}])],
  ['a call without a request', encode([1, 1, 'echo', 'echo', 'say', 0, null])],
  ['too many calls in a probe', encode([4, Array(CALLS_IN_FLIGHT + 1).fill([1, 0])])],
  ['a probe of something else', encode([4, [[1, 0, 0]]])],
  ['a call that is alive by half', encode([5, [[1, 0.5]]])],
  ['a failure of an unknown kind', encode([7, 1, 'sad', 'message', null])],
  ['a failure with a stack', encode([7, 1, 'internal', 'message', null, 'at x.js:1'])],
  ['items that are not packed', encode([8, 1, 0, [1]])],
  ['more items than a window has', encode([8, 1, 0, Array(STREAM_WINDOW_ITEMS + 1).fill(encode(1))])],
  ['a nest that is too deep', Uint8Array.of(...Array(200).fill(0x91), 0x01)],
];

describe('a peer with a connection for calls', () => {
  it.each(MEANINGLESS)('that sends %s is not heard, and may go on', async (_, bytes) => {
    const peer = await dials();
    say(peer, bytes);
    await until(() => bob.dropped('malformed') === 1);
    say(peer, packLinked({ to: 'node', message: hear(1) }));
    await until(() => bob.heard === 1);
    expect(linkedToMallory()).toBe(true);
    await expectUnharmed();
  });

  it('that answers calls to others is not believed', async () => {
    const answers = (id: number) => [
      [6, id, null],
      [7, id, 'internal', 'forged', null],
      [9, id, 0],
    ];
    const { address } = await friend.spawn();
    const waiting = bob.actors.ref(EchoProtocol, address).ask('wait', {}, { timeoutMs: 60_000 });
    waiting.catch(() => {});
    await until(() => friend.waiting === 1);
    const peer = await dials();
    for (let id = 1; id <= 20; id++) for (const answer of answers(id)) say(peer, encode(answer));
    say(peer, packLinked({ to: 'node', message: hear(1) }));
    await until(() => bob.heard === 1);
    expect(friend.waiting).toBe(1);
    const ended = await Promise.race([waiting.then(String, String), Promise.resolve('open')]);
    expect(ended).toBe('open');
    await friend.actors.stopActor('echo');
    await expect(waiting).rejects.toThrow(/stopped/);
  });

  it('that sends values of any shape is not heard', async () => {
    const peer = await dials();
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom<unknown>(null, true, 0, 1, -1, 1.5, 'call', 'echo', 'mallory', '0001', 'ask', ''),
        fc.uint8Array({ maxLength: 20 }),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom('type', 'id', 'from', 'node', 'calls', 'items', 'kind'), tie('any'), {
          maxKeys: 5,
          noNullPrototype: true,
        }),
      ),
    })).any;
    const message = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      value.map((any) => encode(any)),
      fc
        .tuple(fc.integer({ min: -2, max: 13 }), fc.array(value, { maxLength: 8 }))
        .map(([type, any]) => encode([type, ...any])),
      fc
        .tuple(fc.integer({ min: 1, max: 11 }), fc.nat(3), fc.array(value, { maxLength: 6 }))
        .map(([type, id, any]) => encode([type, id, ...any])),
    );
    const messages = fc.sample(message, 2_000);
    for (const bytes of messages) say(peer, bytes);
    say(peer, packLinked({ to: 'node', message: hear(messages.length + 10) }));
    await until(() => bob.heard === 1);
    expect(bob.dropped('malformed')).toBeGreaterThan(messages.length / 2);
    expect(linkedToMallory()).toBe(true);
    await expectUnharmed();
  });

  it('that calls with one number again and again is served once', async () => {
    const peer = await dials();
    for (let i = 0; i < 1_000; i++) say(peer, call(1, 'wait', {}));
    await until(() => bob.dropped('duplicate') === 999);
    expect(bob.waiting).toBe(1);
    say(peer, packLinked({ to: 'node', message: { type: 'cancel', id: 1, from } }));
    await until(() => bob.waiting === 0);
    await expectUnharmed();
  });

  it('that calls thousands of times and reads no answer costs bounded memory, and does not harm other callers', async () => {
    await close();
    // No time passes, so that no call ends because its caller is silent.
    const clock = new SimulatedClock();
    await open(clock, clock);
    const peer = await dials();
    peer.socket.pause();
    const before = process.memoryUsage();
    const calls = 4 * CALLS_IN_FLIGHT;
    for (let id = 1; id <= calls; id++) {
      // More than one turn of the event loop: Bob reads and answers meanwhile.
      if (!peer.socket.write(frameOf(call(id, 'say', { bytes: 16_000 })))) await once(peer.socket, 'drain');
    }
    const answers = await Promise.all(Array.from({ length: 10 }, () => echo.ask('say', { bytes: 1 })));
    expect(answers).toHaveLength(10);
    const after = process.memoryUsage();
    // The 64 MiB that may wait to be written, the 128 MiB that 8192 open calls hold, and garbage. All answers have 512 MiB.
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(320 * 2 ** 20);
    expect(linkedToMallory()).toBe(true);
    peer.socket.destroy();
    await until(() => !linkedToMallory());
    await expectUnharmed();
  });
});

function frameOf(message: Uint8Array): Uint8Array {
  return packFrame(MESSAGE, 0, message, 0);
}

function hear(id: number) {
  const told = { protocol: 'echo', actor: 'echo', method: 'hear', kind: 'tell' as const };
  return { type: 'call' as const, id, from, ...told, deadlineMs: null, request: { bytes: 1 } };
}
