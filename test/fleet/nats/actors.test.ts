import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import type { ActorEvent } from '../../../src/actors/event.js';
import { ActorSystem } from '../../../src/actors/system.js';
import type { NatsBus } from '../../../src/bus/nats-bus.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import { SystemClock } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';
import { SystemRandom } from '../../../src/random.js';
import { actorSuite } from '../../unit/actors/suite.js';
import {
  Counter,
  CounterProtocol,
  deferred,
  drain,
  ScriptProtocol,
  scripted,
  type World,
} from '../../unit/actors/world.js';

let server: EmbeddedServer;

beforeAll(async () => {
  server = await startNatsServer({ path: (await findNatsServer()).path });
});

afterAll(() => server.stop());

class NatsWorld implements World {
  private constructor(
    readonly a: ActorSystem,
    readonly b: ActorSystem,
    readonly busA: NatsBus,
    readonly busB: NatsBus,
    readonly events: ActorEvent[],
  ) {}

  static async make(): Promise<NatsWorld> {
    const events: ActorEvent[] = [];
    const namespace = `test-${randomUUID()}`;
    const connect = () => connectNats({ url: server.url, user: server.user, password: server.password });
    const [busA, busB] = await Promise.all([connect(), connect()]);
    const node = (bus: NatsBus, id: string) => {
      const system = new ActorSystem({
        bus,
        clock: new SystemClock(),
        random: new SystemRandom(),
        node: { id, incarnation: randomUUID() },
        namespace,
        observe: (event) => events.push(event),
      });
      system.start();
      return system;
    };
    const world = new NatsWorld(node(busA, 'worker.a'), node(busB, 'worker b'), busA, busB, events);
    await Promise.all([busA.flush(), busB.flush()]);
    return world;
  }

  async pass(): Promise<void> {}

  async close(): Promise<void> {
    await Promise.all([this.a.stop(), this.b.stop()]);
    await Promise.all([this.busA.close(), this.busB.close()]);
  }
}

actorSuite('over NATS', () => NatsWorld.make());

test('a call to a missing node fails at once', async () => {
  const world = await NatsWorld.make();
  const nobody = world.a.ref(CounterProtocol, { node: 'nobody', incarnation: '1', actor: 'counter' });
  await expect(nobody.ask('total', {})).rejects.toThrow(Unavailable);
  const old = world.a.ref(CounterProtocol, { node: world.b.node.node, incarnation: 'an old one', actor: 'counter' });
  await expect(old.ask('total', {})).rejects.toThrow(Unavailable);
  await world.close();
});

test('a look-up finds actors by name on all nodes', async () => {
  const world = await NatsWorld.make();
  const [a, b] = await Promise.all(
    [world.a, world.b].map((s) => s.spawn(CounterProtocol, 'counter', () => new Counter())),
  );
  await Promise.all([world.busA.flush(), world.busB.flush()]);
  const found = await world.a.lookup(CounterProtocol, 'counter', 10_000, 2);
  expect(found.map((ref) => ref.address)).toEqual(expect.arrayContaining([a?.address, b?.address]));
  await world.close();
});

test('a stream continues after its reader has reconnected to NATS, if no item was lost', async () => {
  const world = await NatsWorld.make();
  const gate = deferred();
  const actor = await world.b.spawn(ScriptProtocol, 'script', () =>
    scripted({
      async *flow() {
        yield 1;
        await gate.promise;
        yield 2;
      },
    }),
  );
  const items = world.a.ref(ScriptProtocol, actor.address).stream('flow', { note: null })[Symbol.asyncIterator]();
  expect(await items.next()).toMatchObject({ value: 1 });
  const found = deferred();
  world.busA.onStatus((status) => status === 'found' && found.resolve());
  await world.busA.connection.reconnect();
  await found.promise;
  await world.busA.flush();
  gate.resolve();
  expect(await items.next()).toMatchObject({ value: 2 });
  expect(await items.next()).toMatchObject({ done: true });
  await world.close();
});

test('a reader notices the silent end of the node of its stream', async () => {
  const world = await NatsWorld.make();
  const actor = await world.b.spawn(ScriptProtocol, 'script', () =>
    scripted({
      async *flow() {
        yield 1;
        await new Promise(() => undefined);
      },
    }),
  );
  const begun = deferred();
  const source = world.a.ref(ScriptProtocol, actor.address).stream('flow', { note: null });
  const seen = (async function* () {
    for await (const item of source) {
      begun.resolve();
      yield item;
    }
  })();
  const done = drain(seen);
  await begun.promise;
  await world.busB.connection.close();
  expect(await done).toMatchObject({ items: [1], error: expect.any(Unavailable) });
  await world.close();
});
