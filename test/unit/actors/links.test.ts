import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packLinked } from '../../../src/actors/linked-message.js';
import { CALL_HEARTBEAT_MS } from '../../../src/actors/system.js';
import { settled } from '../../../src/clock.js';
import { Overloaded, Unavailable } from '../../../src/errors.js';
import * as limits from '../../../src/limits.js';
import { encode } from '../../../src/wire/msgpack.js';
import { Counter, CounterProtocol, deferred, drain, ScriptProtocol, SimulatedWorld, scripted } from './world.js';

/** Messages that went over the bus, except look-ups. */
function watchBus(world: SimulatedWorld): string[] {
  const subjects: string[] = [];
  world.broker.fault = ({ subject }) => {
    subjects.push(subject);
    return 1;
  };
  return subjects;
}

describe('direct links between nodes', () => {
  let world: SimulatedWorld;

  beforeEach(() => {
    world = new SimulatedWorld();
  });
  afterEach(() => world.close());

  async function gated(first: number, last: number) {
    const gate = deferred();
    let handled = 0;
    const { address } = await world.b.spawn(ScriptProtocol, 'script', () =>
      scripted({
        run: (note) => note,
        async *flow() {
          handled++;
          for (let i = 1; i <= first; i++) yield i;
          await gate.promise;
          for (let i = first + 1; i <= last; i++) yield i;
        },
      }),
    );
    return { actor: world.a.ref(ScriptProtocol, address), goOn: () => gate.resolve(), handled: () => handled };
  }

  const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);

  test('carry calls, answers and streams; the bus carries none of them', async () => {
    world.link();
    const subjects = watchBus(world);
    const { address } = await world.b.spawn(CounterProtocol, 'counter', () => new Counter());
    const counter = world.a.ref(CounterProtocol, address);
    counter.tell('add', { amount: 2 });
    expect(await counter.ask('total', {})).toBe(2);
    expect(await drain(counter.stream('upTo', { limit: 1_000 }))).toEqual({ items: upTo(1_000), error: null });
    expect(subjects).toEqual([]);
    expect(world.paths).toEqual(['direct', 'direct', 'direct']);
    expect(world.a.routeTo(world.b.node).kind).toBe('direct');
    expect(world.b.routeTo(world.a.node).kind).toBe('direct');
  });

  test('carry calls both ways, whichever end dialled', async () => {
    world.link();
    const { address } = await world.a.spawn(CounterProtocol, 'counter', () => new Counter());
    expect(await world.b.ref(CounterProtocol, address).ask('total', {})).toBe(0);
    expect(world.paths).toEqual(['direct']);
  });

  test('are taken by new calls as soon as they open, and left when they close', async () => {
    const { actor } = await gated(0, 0);
    await actor.ask('run', { note: 1 });
    world.link();
    await actor.ask('run', { note: 2 });
    world.cut();
    await actor.ask('run', { note: 3 });
    expect(world.paths).toEqual(['nats', 'direct', 'nats']);
  });

  test('leave a call that began on the bus on the bus, so that its items keep their order', async () => {
    const { actor, goOn } = await gated(1, 600);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.link();
    const subjects = watchBus(world);
    goOn();
    expect(await done).toEqual({ items: upTo(600), error: null });
    expect(subjects.length).toBeGreaterThan(0);
  });

  test('take over a call from the bus when the bus is lost', async () => {
    const { actor, goOn, handled } = await gated(3, 600);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.link();
    await settled();
    world.busA.lose();
    goOn();
    await settled();
    expect(await done).toEqual({ items: upTo(600), error: null });
    expect(handled()).toBe(1);
  });

  test('take over the calls of a node that alone has lost the bus', async () => {
    const { actor, goOn, handled } = await gated(3, 600);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.link();
    world.busB.lose();
    await world.pass(CALL_HEARTBEAT_MS + limits.PROBE_TIMEOUT_MS);
    goOn();
    await settled();
    expect(await done).toEqual({ items: upTo(600), error: null });
    expect(handled()).toBe(1);
  });

  test('may close with their node, whose calls then fail as soon as the bus reports that nobody listens', async () => {
    world.link();
    const { actor } = await gated(1, 600);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    await world.busB.close();
    world.cut();
    await settled();
    expect(await done).toMatchObject({ error: expect.any(Unavailable) });
  });

  test('may close during a stream, which continues over the bus if no item was lost', async () => {
    world.link();
    const { actor, goOn, handled } = await gated(3, 600);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.cut();
    await settled();
    goOn();
    expect(await done).toEqual({ items: upTo(600), error: null });
    expect(handled()).toBe(1);
  });

  test('may close and reopen: the stream continues over the new link', async () => {
    world.link();
    world.busA.lose();
    world.busB.lose();
    const { actor, goOn, handled } = await gated(3, 600);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.cut();
    goOn();
    await world.pass(500);
    world.link();
    await settled();
    expect(await done).toEqual({ items: upTo(600), error: null });
    expect(handled()).toBe(1);
  });

  test('that lose an item when they close make the stream fail instead of skipping the item', async () => {
    world.link();
    const { actor, goOn } = await gated(1, 5);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.hub.fault = (from) => (from.node === 'b' ? 0 : 1);
    goOn();
    await settled();
    world.cut();
    await settled();
    const { items, error } = await done;
    expect(items).toEqual([1]);
    expect(error).toBeInstanceOf(Unavailable);
    expect(String(error)).toContain('lost');
  });

  test('that lose a call when they close make the call fail: it is not sent twice', async () => {
    world.link();
    const { actor, handled } = await gated(1, 1);
    world.hub.fault = () => 0;
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.cut();
    const { error } = await done;
    expect(error).toBeInstanceOf(Unavailable);
    expect(handled()).toBe(0);
  });

  test('that deliver a call twice lead to one execution', async () => {
    world.link();
    world.hub.fault = () => 2;
    const { actor, goOn, handled } = await gated(2, 4);
    goOn();
    expect(await drain(actor.stream('flow', { note: null }))).toEqual({ items: upTo(4), error: null });
    expect(handled()).toBe(1);
  });

  test('that close while the bus is lost fail their calls after a short wait', async () => {
    world.link();
    const { actor } = await gated(1, 2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.busA.lose();
    world.cut();
    await world.pass(3 * CALL_HEARTBEAT_MS);
    const { items, error } = await done;
    expect(items).toEqual([1]);
    expect(error).toBeInstanceOf(Unavailable);
  });

  test('that close just before the bus is lost fail their calls, because no answer can come over the bus', async () => {
    world.link();
    const { actor } = await gated(1, 2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    // A server that hangs counts as connected until it leaves pings unanswered.
    world.broker.fault = () => 0;
    world.cut();
    await world.pass(2 * CALL_HEARTBEAT_MS);
    world.busA.lose();
    world.busB.lose();
    await world.pass(2 * CALL_HEARTBEAT_MS);
    const { items, error } = await done;
    expect(items).toEqual([1]);
    expect(error).toBeInstanceOf(Unavailable);
  });

  test('that close before the bus is lost keep the calls whose node has answered over the bus since', async () => {
    world.link();
    const { actor, goOn } = await gated(1, 2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.cut();
    await world.pass(CALL_HEARTBEAT_MS);
    world.busA.lose();
    world.busB.lose();
    await world.pass(2 * limits.CALL_SILENCE_MS);
    world.busB.restore();
    world.busA.restore();
    goOn();
    await world.pass(limits.BUS_GRACE_MS + 2 * CALL_HEARTBEAT_MS);
    expect(await done).toEqual({ items: [1, 2], error: null });
  });

  test('that go silent without closing fail their calls', async () => {
    world.link();
    const { actor } = await gated(1, 2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.hub.fault = () => 0;
    await world.pass(limits.CALL_SILENCE_MS + 2 * CALL_HEARTBEAT_MS);
    expect((await done).error).toBeInstanceOf(Unavailable);
  });

  test('that are crowded keep their calls, whose messages stand in a queue, until they are crowded no more', async () => {
    world.link();
    const { actor } = await gated(1, 2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.hub.fault = () => 0;
    world.hub.crowded = true;
    await world.pass(3 * limits.CALL_SILENCE_MS);
    expect(await Promise.race([done, settled()])).toBeUndefined();
    world.hub.crowded = false;
    await world.pass(limits.CALL_SILENCE_MS + 2 * CALL_HEARTBEAT_MS);
    expect((await done).error).toBeInstanceOf(Unavailable);
  });

  test('keep quiet calls alive while the bus is lost', async () => {
    world.link();
    const { actor, goOn } = await gated(1, 2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.busA.lose();
    world.busB.lose();
    await world.pass(10 * limits.CALL_SILENCE_MS);
    goOn();
    expect(await done).toEqual({ items: [1, 2], error: null });
  });

  test('answer look-ups while the bus is lost', async () => {
    world.link();
    await world.b.spawn(CounterProtocol, 'counter', () => new Counter());
    world.busA.lose();
    const [found] = await world.a.lookup(CounterProtocol, 'counter', 1_000, 1);
    expect(found?.address).toEqual({ node: 'b', incarnation: '1', actor: 'counter' });
  });

  test('answer look-ups while the bus is lost and another link takes no more', async () => {
    const busC = world.broker.connect('c');
    const c = world.node(busC, 'c', '1');
    world.link();
    world.hub.connect(world.a.node, c.node);
    await c.spawn(CounterProtocol, 'only on c', () => new Counter());
    world.hub.fault = (from, message) => {
      if (from.node === 'a' && Buffer.from(message).includes('only on c') && !full) {
        full = true;
        throw new Overloaded('64 MiB wait for it already');
      }
      return 1;
    };
    let full = false;
    for (const bus of [world.busA, world.busB, busC]) bus.lose();
    const found = world.a.lookup(CounterProtocol, 'only on c', 100);
    await world.pass(100);
    expect((await found).map(({ address }) => address.node)).toEqual(['c']);
    expect(world.events).toContainEqual(expect.objectContaining({ reason: 'undeliverable' }));
    await c.stop();
  });

  test('take the sender of a message from the link, and no answer to a call of another node', async () => {
    world.link();
    const { actor, goOn } = await gated(1, 2);
    const callers: string[] = [];
    await world.b.spawn(ScriptProtocol, 'listener', () => scripted({ hear: (_, { from }) => void callers.push(from) }));
    const stranger = { node: 'd', incarnation: '1' };
    const links = world.hub.node(stranger);
    world.hub.connect(stranger, world.b.node);
    world.hub.connect(stranger, world.a.node);
    const call = {
      type: 'call',
      id: 1,
      from: world.a.node,
      actor: 'listener',
      protocol: 'script',
      method: 'hear',
    } as const;
    const forged = packLinked({
      to: 'node',
      message: { ...call, kind: 'tell', deadlineMs: null, request: { note: 1 } },
    });
    links.to(world.b.node)!.send(forged);
    links.to(world.b.node)!.send(encode('garbage'));
    await settled();
    expect(callers).toEqual(['d']);
    expect(world.events.filter(({ type }) => type === 'dropped')).toHaveLength(1);
    const done = drain(actor.stream('flow', { note: null }));
    for (let id = 1; id < 20; id++) {
      links.to(world.a.node)!.send(packLinked({ to: 'call', id, message: { type: 'end', items: 0 } }));
    }
    await settled();
    goOn();
    expect(await done).toEqual({ items: [1, 2], error: null });
  });
});
