import { setTimeout as pause } from 'node:timers/promises';
import type { ActorRef } from '../src/actors/ref.js';
import type { RouteKind } from '../src/actors/route.js';
import { ActorSystem } from '../src/actors/system.js';
import { SystemClock } from '../src/clock.js';
import { Unavailable } from '../src/errors.js';
import { setSendBuffer } from '../src/native/libc.js';
import { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
import { SystemRandom } from '../src/random.js';
import { type BenchNats, NAMESPACE, sealedBus } from './actor-bus.js';
import { ECHO_ACTOR, EchoProtocol, SERVER, type ServerAddresses } from './actor-server.js';
import { ECHO_BYTES } from './bare-echo.js';
import { FINGERPRINT, SECRET } from './peer-sender.js';

/** The calling side of benchmark `actor`: one actor system for each route to the server. */

export const ROUTES = ['unix', 'tcp', 'nats'] as const;
export type BenchRoute = (typeof ROUTES)[number];

const OPEN_TIMEOUT_MS = 10_000;

export class ActorCaller {
  private readonly bytes = new Uint8Array(ECHO_BYTES).fill(7);

  private constructor(
    private readonly ref: ActorRef<typeof EchoProtocol>,
    readonly close: () => Promise<void>,
  ) {}

  /** Opens a route. Rejects with Unavailable if calls cannot take that route within 10 s. */
  static async open(route: BenchRoute, { shoal }: ServerAddresses, nats: BenchNats): Promise<ActorCaller> {
    const node = { id: `caller-${route}`, incarnation: '1' };
    const clock = new SystemClock();
    const random = new SystemRandom();
    const bus = await sealedBus(nats, node);
    const links = new PeerCallLinks({
      identity: { ...node, fingerprint: FINGERPRINT },
      // A Unix socket is dialled on the same host only.
      hostId: route === 'unix' ? shoal.hostId : 'elsewhere',
      secret: SECRET,
      clock,
      random,
      setSendBuffer,
      addressOf: () => (route === 'nats' ? null : shoal),
    });
    const system = new ActorSystem({ bus, links, clock, random, node, namespace: NAMESPACE });
    const ref = system.ref(EchoProtocol, { ...SERVER, actor: ECHO_ACTOR });
    await bus.flush();
    links.connect(SERVER);
    await taken(system, route === 'nats' ? 'nats' : 'direct');
    return new ActorCaller(ref, async () => {
      await system.stop();
      links.close();
      await bus.close();
    });
  }

  /** Asks for 100 bytes with 100 bytes. */
  ask(): Promise<unknown> {
    return this.ref.ask('echo', { bytes: this.bytes });
  }

  /** A stream of so many events of one token each. */
  events(count: number): AsyncIterable<unknown> {
    return this.ref.stream('events', { count });
  }
}

/** Resolves when calls to the server take this kind of route. */
async function taken(system: ActorSystem, kind: RouteKind): Promise<void> {
  const untilMs = performance.now() + OPEN_TIMEOUT_MS;
  while (system.routeTo(SERVER).kind !== kind) {
    if (performance.now() > untilMs) throw new Unavailable(`cannot call the server by the route ${kind}`);
    await pause(10);
  }
}
