import { setImmediate as nextTurn } from 'node:timers/promises';
import { ActorSystem } from '../src/actors/system.js';
import { natsTransport } from '../src/bus/nats-transport.js';
import { sealTransport } from '../src/bus/sealed-transport.js';
import { SystemClock } from '../src/clock.js';
import type { Announcement, PeerAddress } from '../src/core/member.js';
import { EventStream } from '../src/engine/event-stream.js';
import { Announcer } from '../src/fleet/announcer.js';
import { hostId } from '../src/fleet/identity.js';
import { fleetSubjects } from '../src/fleet/subjects.js';
import { BURST_TOKENS } from '../src/limits.js';
import { setSendBuffer } from '../src/native/libc.js';
import { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
import { PeerServer } from '../src/peer/server/peer-server.js';
import type { GenerateRequest } from '../src/protocol/generate.js';
import { EngineProtocol, ShardProtocol } from '../src/protocol/worker.js';
import { SystemRandom } from '../src/random.js';
import type { BenchNats } from './actor-bus.js';
import { serveBareRequests } from './bare-request.js';

/** The worker of benchmark `request`: a member of the fleet that answers every prompt at once, without a model. */

export const STAND_IN = { id: 'stand-in', incarnation: 'stand-in-1' };
const BLOCK_BYTES = 2 ** 20;
const BLOCKS = 1_024;
/** The letter a. */
const TOKEN = 97;
const NAMESPACE = 'shoal';

/** The start message of the parent process. */
export interface StandInStart {
  readonly nats: BenchNats;
  readonly secret: string;
  readonly fingerprint: string;
  readonly folder: string;
}

async function serve({ nats, secret, fingerprint, folder }: StandInStart): Promise<void> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const transport = await natsTransport({
    ...nats,
    name: STAND_IN.id,
    signal: new AbortController().signal,
    onWaiting: () => undefined,
  });
  const { bus } = sealTransport(transport, { clock, random, secret, self: STAND_IN, namespace: NAMESPACE });
  const identity = { ...STAND_IN, fingerprint };
  const own = { identity, secret, clock, random, setSendBuffer };
  const links = new PeerCallLinks({ ...own, hostId: hostId(), addressOf: () => null });
  const host = { isShared: () => false, pin: async () => null, admit: () => 'full' as const };
  const server = new PeerServer({
    ...own,
    host,
    blockBytes: BLOCK_BYTES,
    roleOf: () => 'worker',
    onCalls: links.accept,
  });
  const address = { hostId: hostId(), ...(await server.listen({ unixPath: `${folder}/peer.sock`, tcpHost: null })) };
  const node = STAND_IN;
  const actors = new ActorSystem({ bus, links, clock, random, node, namespace: NAMESPACE });
  await actors.spawn(EngineProtocol, 'engine', () => ({ generate: (request) => answer(request) }));
  await actors.spawn(ShardProtocol, 'shard', () => ({
    holdings: async function* () {
      yield { seq: 0, keys: new Uint8Array(), last: true };
    },
    tiers: () => ({ tiers: [] }),
    chain: () => ({ keys: new Uint8Array(), parent: new Uint8Array() }),
    retain: () => ({ type: 'retained' as const, missing: new Uint8Array() }),
    purge: () => ({ device: 0, host: 0, disk: 0, blocks: 0, replicas: 0, complete: true, beyond: new Uint8Array() }),
    reset: () => ({ dropped: 0 }),
  }));
  await bus.flush();
  await serveBareRequests(nats);
  new Announcer(bus, clock, fleetSubjects(NAMESPACE), () => announcement(fingerprint, address), {
    tell: () => undefined,
  }).start();
}

/** As an engine sends them: the start at once, then one token a turn, the end with the last one. */
function answer({ tokens, stopping, bursts }: GenerateRequest): EventStream {
  const events = new EventStream(() => undefined, bursts === true ? BURST_TOKENS : 1);
  events.push({ type: 'start', cached: { local: 0, remote: 0, computed: tokens.byteLength / 4 }, queueMs: 0 });
  void (async () => {
    for (let i = 0; i < stopping.maxTokens; i++) {
      await nextTurn();
      events.push({ type: 'tokens', ids: [TOKEN] });
    }
    events.push({ type: 'end', reason: 'length', token: null });
    events.close();
  })();
  return events;
}

function announcement(fingerprint: string, address: PeerAddress): Announcement {
  return {
    ...STAND_IN,
    generation: 1,
    refutation: 0,
    state: 'serving',
    pid: process.pid,
    host: 'localhost',
    device: 'cpu',
    deviceReason: 'a benchmark',
    contextReason: 'a benchmark',
    trial: null,
    address,
    fingerprint,
    budget: { device: BLOCKS * BLOCK_BYTES, host: 0 },
    bytes: { device: 0, host: 0 },
    blocks: 0,
    blockBytes: BLOCK_BYTES,
    running: 0,
    waiting: 0,
    queuedTokens: 0,
    capacity: { contextTokens: 512, sequences: 1_024, waiting: 1_024 },
    hitRate: 0,
    rates: { computeMsPerToken: 1, decodeMsPerStep: 1, fetchBytesPerMs: 1 },
    computeAgeMs: 0,
    disk: 'none',
    holdingsSeq: 0,
  };
}

const [, , role] = process.argv;
if (role === 'shoal-bench-request-worker' && process.send) {
  process.on('disconnect', () => process.exit(0));
  process.once('message', (start) => {
    void serve(start as StandInStart).then(() => process.send?.('serving'));
  });
}
