import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { NodeAddress } from '../../../src/actors/envelope.js';
import type { ActorEvent } from '../../../src/actors/event.js';
import { packForBus, unpackFromBus } from '../../../src/actors/linked-message.js';
import { DEFAULT_RESTART_POLICY } from '../../../src/actors/restart-policy.js';
import { STREAM_WINDOW_BYTES } from '../../../src/actors/stream-sender.js';
import { absenceSubject, inboxSubject } from '../../../src/actors/subjects.js';
import { ActorSystem, CALL_HEARTBEAT_MS } from '../../../src/actors/system.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SealedBus } from '../../../src/bus/sealed-bus.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import {
  Cancelled,
  DeadlineExceeded,
  InternalError,
  InvalidRequest,
  Overloaded,
  Unavailable,
} from '../../../src/errors.js';
import * as limits from '../../../src/limits.js';
import { SeededRandom } from '../../../src/random.js';
import { encode } from '../../../src/wire/msgpack.js';
import { Counter, CounterProtocol, deferred, drain, ScriptProtocol, SimulatedWorld, scripted } from './world.js';

let world: SimulatedWorld;

beforeEach(() => {
  world = new SimulatedWorld();
});

afterEach(() => world.close());

async function remoteCounter(counter = new Counter()) {
  const { address } = await world.b.spawn(CounterProtocol, 'counter', () => counter);
  return world.a.ref(CounterProtocol, address);
}

async function remoteScript(script: Parameters<typeof scripted>[0]) {
  const { address } = await world.b.spawn(ScriptProtocol, 'script', () => scripted(script));
  return world.a.ref(ScriptProtocol, address);
}

/** A stream that yields one item and then hangs. `aborted` resolves with the reason of its signal's abort. */
async function quietStream() {
  const aborted = deferred<unknown>();
  const actor = await remoteScript({
    async *flow(_note, { signal }) {
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      yield 1;
      await new Promise(() => undefined);
    },
  });
  return { actor, aborted: aborted.promise };
}

type Sent = { readonly type?: string; readonly items?: number | unknown[]; readonly first?: number };

function sentBy(payload: Uint8Array): Sent {
  // Spies also see the bus's reports of messages without a subscriber, which are empty.
  return payload.byteLength === 0 ? {} : (unpackFromBus(payload).linked.message as Sent);
}

describe('messages that are lost, duplicated or late', () => {
  test('a lost item fails the stream after the items before it', async () => {
    const counter = await remoteCounter();
    let count = 0;
    world.broker.fault = ({ payload }) => (sentBy(payload).type === 'items' && ++count === 3 ? 0 : 1);
    const done = drain(counter.stream('upTo', { limit: 1_000 }));
    await world.pass(CALL_HEARTBEAT_MS);
    const { items, error } = await done;
    expect(error).toBeInstanceOf(Unavailable);
    expect((error as Error).message).toMatch(/lost/);
    expect(items).toEqual(Array.from({ length: items.length }, (_, i) => i + 1));
    expect(items.length).toBeLessThan(1_000);
  });

  test('the next item reveals a lost one', async () => {
    const actor = await remoteScript({
      async *flow() {
        for (let i = 0; i < 5; i++) {
          yield i;
          await settled();
        }
      },
    });
    world.broker.fault = ({ payload }) => (sentBy(payload).first === 2 ? 0 : 1);
    const { items, error } = await drain(actor.stream('flow', { note: null }));
    expect(items).toEqual([0, 1]);
    expect(error).toBeInstanceOf(Unavailable);
  });

  test('items lost at the end are detected, whether or not the end message is lost too', async () => {
    const counter = await remoteCounter();
    world.broker.fault = ({ payload }) => (sentBy(payload).type === 'items' ? 0 : 1);
    expect((await drain(counter.stream('upTo', { limit: 1 }))).error).toBeInstanceOf(Unavailable);
    const { actor } = await quietStream();
    const done = drain(actor.stream('flow', { note: null }));
    await world.pass(CALL_HEARTBEAT_MS);
    expect(await done).toMatchObject({ items: [], error: expect.any(Unavailable) });
  });

  test('duplicate messages change nothing: no call is handled twice, no item is read twice', async () => {
    const counter = await remoteCounter();
    world.broker.fault = () => 2;
    counter.tell('add', { amount: 5 });
    expect(await counter.ask('total', {})).toBe(5);
    const { items, error } = await drain(counter.stream('upTo', { limit: 600 }));
    expect(error).toBeNull();
    expect(items).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
    expect(world.events.every((event) => event.type === 'dropped' && event.reason === 'duplicate')).toBe(true);
  });

  test('a call that is sent again is not handled twice, however many others came meanwhile, whether it is open or has ended', async () => {
    const gate = deferred();
    let handled = 0;
    const actor = await remoteScript({
      async run() {
        handled++;
        await gate.promise;
        return handled;
      },
    });
    const counter = await remoteCounter();
    const calls: Uint8Array[] = [];
    world.broker.fault = ({ payload }) => {
      if (sentBy(payload).type === 'call') calls.push(payload);
      return 1;
    };
    const answer = actor.ask('run', { note: null });
    await settled();
    world.broker.fault = null;
    const others = async () => {
      for (let i = 0; i < 33_000; i++) {
        counter.tell('add', { amount: 1 });
        if (i % 500 === 0) await settled();
      }
      await settled();
    };
    await others();
    world.busA.publish('test.node.b.1.in', calls[0]!);
    gate.resolve();
    expect(await answer).toBe(1);
    await others();
    world.busA.publish('test.node.b.1.in', calls[0]!);
    await settled();
    expect(handled).toBe(1);
  });

  test.each(['bus', 'link'])(
    'no tell that has arrived over a %s is lost, however long it waits or runs, nor with its sender',
    async (via) => {
      if (via === 'link') world.link();
      const gate = deferred();
      const heard: unknown[] = [];
      const signals: AbortSignal[] = [];
      const actor = await remoteScript({
        async hear(note, { signal }) {
          signals.push(signal);
          await gate.promise;
          heard.push(note);
        },
      });
      const notes = Array.from({ length: 100 }, (_, i) => i);
      for (const note of notes) actor.tell('hear', { note });
      await world.pass(3 * limits.CALL_SILENCE_MS);
      if (via === 'link') world.cut();
      world.b.nodeGone('a', '1');
      gate.resolve();
      await world.pass(1);
      expect(heard).toEqual(notes);
      expect(signals.every(({ aborted }) => !aborted)).toBe(true);
      expect(world.events).toEqual([]);
    },
  );

  test('a tell that finds the mailbox full, or no actor, is reported where it was dropped', async () => {
    const gate = deferred();
    const { address } = await world.b.spawn(ScriptProtocol, 'busy', () => scripted({ hear: () => gate.promise }), {
      mailbox: 1,
    });
    const actor = world.a.ref(ScriptProtocol, address);
    for (const note of [1, 2, 3]) actor.tell('hear', { note });
    world.a.ref(ScriptProtocol, { ...address, actor: 'nobody' }).tell('hear', { note: 4 });
    await world.pass(1);
    gate.resolve();
    expect(world.events).toEqual([
      {
        ...{ type: 'dropped', reason: 'undeliverable' },
        what: 'script.hear from a: cannot queue a message for busy: its mailbox of 1 messages is full',
      },
      {
        ...{ type: 'dropped', reason: 'undeliverable' },
        what: 'script.hear from a: cannot reach the actor nobody: b has no such actor',
      },
    ]);
  });

  test('the next probe reveals a lost answer', async () => {
    const counter = await remoteCounter();
    world.broker.fault = ({ payload }) => (sentBy(payload).type === 'answer' ? 0 : 1);
    const outcome = expect(counter.ask('total', {})).rejects.toThrow(Unavailable);
    await world.pass(CALL_HEARTBEAT_MS);
    await outcome;
  });

  test('the next probe reveals a lost call', async () => {
    const counter = await remoteCounter();
    world.broker.fault = ({ payload }) => (sentBy(payload).type === 'call' ? 0 : 1);
    const outcome = expect(counter.ask('total', {})).rejects.toThrow(Unavailable);
    await world.pass(CALL_HEARTBEAT_MS);
    await outcome;
  });

  test('the next probe replaces lost credit', async () => {
    const counter = await remoteCounter();
    world.broker.fault = ({ payload }) => (sentBy(payload).type === 'credit' ? 0 : 1);
    const limit = limits.STREAM_WINDOW_ITEMS * 3;
    const done = drain(counter.stream('upTo', { limit }));
    await world.pass(CALL_HEARTBEAT_MS * 4);
    expect((await done).items).toHaveLength(limit);
  });

  test('after a lost cancellation, the silence of the caller ends the call', async () => {
    const { actor, aborted } = await quietStream();
    world.broker.fault = ({ payload }) => (sentBy(payload).type === 'cancel' ? 0 : 1);
    for await (const _ of actor.stream('flow', { note: null })) break;
    await world.pass(limits.CALL_SILENCE_MS + CALL_HEARTBEAT_MS);
    expect(await aborted).toBeInstanceOf(Unavailable);
  });

  test('a call that arrives after its own cancellation is not handled', async () => {
    const counter = await remoteCounter();
    const held: Uint8Array[] = [];
    world.broker.fault = ({ payload }) => {
      if (sentBy(payload).type !== 'call') return 1;
      held.push(payload);
      return 0;
    };
    const abort = new AbortController();
    const call = counter.ask('total', {}, { signal: abort.signal }).catch(() => 'gave up');
    abort.abort();
    expect(await call).toBe('gave up');
    await settled();
    world.broker.fault = null;
    world.busA.publish('test.node.b.1.in', held[0] as Uint8Array);
    await settled();
    expect(world.events).toMatchObject([{ type: 'dropped', reason: 'duplicate' }]);
  });

  test('malformed messages are dropped and counted', async () => {
    const counter = await remoteCounter();
    const cases: [string, Uint8Array][] = [
      ['test.node.b.1.in', new Uint8Array([0xc1, 0xff])],
      ['test.node.b.1.in', encode({ type: 'call', id: 1 })],
      ['test.node.b.1.in', encode(['a', '1'])],
      ['test.node.b.1.in', encode(['a', '', [2, 1]])],
      ['test.node.b.1.in', encode(['a', '1', [1, 1]])],
      ['test.node.b.1.in', encode(['a', '1', [2, 1], 1])],
      ['test.node.b.1.in', encode(['a', '1', [2, 1, 1]])],
      ['test.node.b.1.in', encode(['a', '1', [8, 1, 0, ['not packed']]])],
      ['test.lookup.counter', encode({})],
    ];
    for (const [subject, payload] of cases) world.busA.publish(subject, payload);
    await settled();
    expect(world.events).toEqual(cases.map(([what]) => ({ type: 'dropped', reason: 'malformed', what })));
    expect(await counter.ask('total', {})).toBe(0);
  });

  test('messages that name another sender than the one that sealed them are dropped and counted', async () => {
    const broker = new MemoryBroker();
    const clock = new SimulatedClock();
    const random = new SeededRandom(1);
    const sealed = (id: string) =>
      new SealedBus({
        bus: broker.connect(id),
        clock,
        random,
        secret: 's',
        self: { id, incarnation: '1' },
        namespace: 'test',
      });
    const events: ActorEvent[] = [];
    const node = { id: 'b', incarnation: '1' };
    const b = new ActorSystem({
      bus: sealed('b'),
      clock,
      random,
      node,
      namespace: 'test',
      observe: (e) => events.push(e),
    });
    b.start();
    const counter = await b.spawn(CounterProtocol, 'counter', () => new Counter());
    const busC = sealed('c');
    const add = (from: NodeAddress) => {
      const call = { type: 'call', from, id: 1, actor: 'counter', protocol: 'counter', method: 'add' } as const;
      const message = { ...call, kind: 'tell', deadlineMs: null, request: { amount: 1 } } as const;
      busC.publish('test.node.b.1.in', packForBus({ to: 'node', message }, from));
    };
    for (const from of [
      { node: 'a', incarnation: '1' },
      { node: 'c', incarnation: '2' },
    ])
      add(from);
    await settled();
    const drop = { type: 'dropped', reason: 'malformed' };
    const what = (name: string) => `message on test.node.b.1.in from c, in the name of ${name}`;
    expect(events).toEqual(['a', 'c'].map((name) => ({ ...drop, what: what(name) })));
    expect(await counter.ask('total', {})).toBe(0);
    add({ node: 'c', incarnation: '1' });
    await settled();
    expect(await counter.ask('total', {})).toBe(1);
    await b.stop();
  });
});

describe('nodes that go away', () => {
  test('a call to an absent node fails once it has not answered a probe either', async () => {
    const ref = world.a.ref(CounterProtocol, { node: 'c', incarnation: '1', actor: 'counter' });
    const asked = expect(ref.ask('total', {})).rejects.toThrow(Unavailable);
    const streamed = drain(ref.stream('upTo', { limit: 1 }));
    await world.pass(limits.PROBE_TIMEOUT_MS);
    await asked;
    expect((await streamed).error).toBeInstanceOf(Unavailable);
  });

  test('as many calls of an absent node as may be in flight fail together, although the bus reports each', async () => {
    const ref = world.a.ref(CounterProtocol, { node: 'c', incarnation: '1', actor: 'counter' });
    const asked = Array.from({ length: limits.CALLS_IN_FLIGHT }, () => ref.ask('total', {}));
    const outcomes = Promise.allSettled(asked);
    await world.pass(limits.PROBE_TIMEOUT_MS);
    expect(new Set((await outcomes).map(({ status }) => status))).toEqual(new Set(['rejected']));
  });

  test('forged reports that a node is absent fail none of its calls', async () => {
    const { actor } = await quietStream();
    let over = false;
    void drain(actor.stream('flow', { note: null })).finally(() => {
      over = true;
    });
    let probes = 0;
    const inbox = inboxSubject('test', { node: 'b', incarnation: '1' });
    world.busB.subscribe(inbox, ({ reply }) => {
      if (reply !== null) probes++;
    });
    const subject = absenceSubject('test', { node: 'a', incarnation: '1' }, { node: 'b', incarnation: '1' });
    const forged = { subject, payload: new Uint8Array(0), reply: null, nobody: true };
    const passMs = 10 * limits.PROBE_TIMEOUT_MS;
    for (let ms = 0; ms < passMs; ms += 50) {
      world.broker.route(world.busB, forged);
      await world.pass(50);
    }
    expect(over).toBe(false);
    expect(probes).toBeLessThanOrEqual(passMs / limits.PROBE_TIMEOUT_MS + passMs / CALL_HEARTBEAT_MS + 1);
  });

  test('forged reports fail no call of a node that is busy, as long as it would not be suspected', async () => {
    const target = { node: 'b', incarnation: '1' };
    let heardMs: number | null = null;
    const options = { bus: world.broker.connect('caller'), clock: world.clock, random: new SeededRandom(3) };
    const node = { id: 'caller', incarnation: '1' };
    const caller = new ActorSystem({ ...options, node, namespace: 'test', heardMs: () => heardMs });
    const { address } = await world.b.spawn(ScriptProtocol, 'busy', () =>
      scripted({ run: () => new Promise(() => {}) }),
    );
    const outcomes: unknown[] = [];
    const ask = () =>
      void caller
        .ref(ScriptProtocol, address)
        .ask('run', { note: null })
        .catch((error: unknown) => outcomes.push(error));
    ask();
    await settled();
    // Nothing that is said to the node arrives from now on, and somebody reports again and again that it is absent.
    const inbox = inboxSubject('test', target);
    world.broker.fault = (message) => (message.subject === inbox ? 0 : 1);
    const subject = absenceSubject('test', { node: 'caller', incarnation: '1' }, target);
    const forged = { subject, payload: new Uint8Array(0), reply: null, nobody: true };
    const pass = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 50) {
        world.broker.route(world.busB, forged);
        await world.pass(50);
      }
    };
    heardMs = world.clock.now();
    await pass(limits.SUSPECT_AFTER_MS - 50);
    expect(outcomes).toEqual([]);
    heardMs = world.clock.now();
    await pass(limits.SUSPECT_AFTER_MS - 50);
    expect(outcomes).toEqual([]);
    await pass(limits.PROBE_TIMEOUT_MS + 50);
    expect(outcomes).toMatchObject([{ message: expect.stringContaining('is not on the bus') }]);
    await caller.stop();
  });

  test('a new incarnation of a node does not receive messages for an earlier one', async () => {
    const old = await remoteCounter();
    await world.b.stop();
    const reborn = world.node(world.busB, 'b', '2');
    const { address } = await reborn.spawn(CounterProtocol, 'counter', () => new Counter());
    const refused = expect(old.ask('total', {})).rejects.toThrow(Unavailable);
    await world.pass(limits.PROBE_TIMEOUT_MS);
    await refused;
    expect(await world.a.ref(CounterProtocol, address).ask('total', {})).toBe(0);
    await reborn.stop();
  });

  test('membership ends calls in both directions, and later calls fail at once', async () => {
    const { actor, aborted } = await quietStream();
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.a.nodeGone('b', '1');
    expect(await done).toMatchObject({ items: [1], error: expect.any(Unavailable) });
    await expect(actor.ask('run', { note: null })).rejects.toThrow('is gone');

    world.b.nodeGone('a', '1');
    expect(await aborted).toBeInstanceOf(Unavailable);
  });

  test('an open call to a node whose connection has ended fails at the next probe', async () => {
    const { actor } = await quietStream();
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    await world.busB.close();
    await world.pass(CALL_HEARTBEAT_MS + limits.PROBE_TIMEOUT_MS);
    expect(await done).toMatchObject({ items: [1], error: expect.any(Unavailable) });
  });

  test('a silent partition ends open calls on both sides at the bound, not before', async () => {
    const { actor, aborted } = await quietStream();
    let done = false;
    const outcome = drain(actor.stream('flow', { note: null })).finally(() => {
      done = true;
    });
    let lost = false;
    void aborted.then(() => {
      lost = true;
    });
    await world.pass(limits.CALL_SILENCE_MS * 2);
    expect([done, lost]).toEqual([false, false]);
    world.broker.sever('a', 'b');
    world.broker.sever('b', 'a');
    await world.pass(limits.CALL_SILENCE_MS - 2 * CALL_HEARTBEAT_MS);
    expect([done, lost]).toEqual([false, false]);
    await world.pass(3 * CALL_HEARTBEAT_MS);
    expect((await outcome).error).toBeInstanceOf(Unavailable);
    expect(await aborted).toBeInstanceOf(Unavailable);
  });

  test('answers that an overloaded bus refuses are sent later, in order', async () => {
    const actor = await remoteScript({
      async *flow() {
        for (let i = 0; i < 5; i++) {
          yield i;
          await settled();
        }
      },
    });
    const publish = vi.spyOn(world.busB, 'publish');
    publish.mockImplementationOnce(() => {
      throw new Overloaded('too much is waiting');
    });
    const done = drain(actor.stream('flow', { note: null }));
    await world.pass(CALL_HEARTBEAT_MS);
    expect(await done).toEqual({ items: [0, 1, 2, 3, 4], error: null });
  });

  test('an infinite deadline is none, and one that is no number has passed', async () => {
    const counter = await remoteCounter();
    expect(await counter.ask('total', {}, { timeoutMs: Number.POSITIVE_INFINITY })).toBe(0);
    await expect(counter.ask('total', {}, { timeoutMs: Number.NaN })).rejects.toThrow(DeadlineExceeded);
  });

  test('a deadline ends the work even if the caller has fallen silent', async () => {
    const aborted = deferred<unknown>();
    const actor = await remoteScript({
      run: (_note, { signal }) =>
        new Promise(() => signal.addEventListener('abort', () => aborted.resolve(signal.reason))),
    });
    const outcome = expect(actor.ask('run', { note: null }, { timeoutMs: 100 })).rejects.toThrow(DeadlineExceeded);
    await settled();
    world.broker.sever('a', 'b');
    await world.pass(100);
    await outcome;
    expect(await aborted.promise).toBeInstanceOf(DeadlineExceeded);
  });

  test('a node that was suspended gives the others time to be heard', async () => {
    const { actor } = await quietStream();
    let nowMs = 0;
    let sweep = (): void => undefined;
    const frozen = world.node(world.busA, 'frozen', '1', {
      now: () => nowMs,
      after: (ms, fn) => world.clock.after(ms, fn),
      every: (_ms, fn) => {
        sweep = fn;
        return { cancel: () => undefined };
      },
    });
    let done = false;
    void drain(frozen.ref(ScriptProtocol, actor.address).stream('flow', { note: null })).then(() => {
      done = true;
    });
    await settled();
    nowMs += 3 * limits.CALL_SILENCE_MS;
    sweep();
    await settled();
    expect(done).toBe(false);
    await frozen.stop();
  });
});

describe('bounds', () => {
  test('calls in flight are bounded, and the next is Overloaded', async () => {
    const actor = await remoteScript({ run: () => new Promise(() => undefined) });
    const open = () => actor.stream('flow', { note: null })[Symbol.asyncIterator]();
    const streams = Array.from({ length: limits.CALLS_IN_FLIGHT }, open);
    await expect(actor.ask('run', { note: null })).rejects.toThrow(Overloaded);
    await streams[0]?.return?.();
    const inTime = actor.ask('run', { note: null }, { timeoutMs: 1 });
    const outcome = expect(inTime).rejects.toThrow('did not finish');
    await world.pass(1);
    await outcome;
  });

  test('a request or answer that is too large for the bus fails with that error', async () => {
    const small = new SimulatedWorld(4_096);
    const large = 'x'.repeat(5_000);
    const { address } = await small.b.spawn(ScriptProtocol, 'script', () =>
      scripted({
        run: (note) => (note === 'large' ? large : note),
        async *flow() {
          yield 1;
          yield large;
        },
      }),
    );
    const actor = small.a.ref(ScriptProtocol, address);
    await expect(actor.ask('run', { note: large })).rejects.toThrow(InvalidRequest);
    await expect(actor.ask('run', { note: 'large' })).rejects.toThrow(/cannot send the answer/);
    const { items, error } = await drain(actor.stream('flow', { note: null }));
    expect(items).toEqual([1]);
    expect(error).toBeInstanceOf(InternalError);
    expect(await actor.ask('run', { note: 'small' })).toBe('small');
    await small.close();
  });

  test('items that are ready together share a message; the first item does not wait for them', async () => {
    const counter = await remoteCounter();
    const batches: number[] = [];
    world.broker.fault = ({ payload }) => {
      const { type, items } = sentBy(payload);
      if (type === 'items') batches.push((items as unknown[]).length);
      return 1;
    };
    await drain(counter.stream('upTo', { limit: 200 }));
    expect(batches[0]).toBe(1);
    expect(batches.length).toBeLessThan(10);
  });

  test('an iterable that throws when it is left ends like any other', async () => {
    const throwing = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<number>>(() => undefined),
        return: () => {
          throw new RangeError('cannot end');
        },
      }),
    };
    const actor = await remoteScript({ flow: () => throwing });
    for (let round = 0; round < 2; round++) {
      const leaving = new AbortController();
      const done = drain(actor.stream('flow', { note: null }, { signal: leaving.signal }));
      await settled();
      leaving.abort();
      expect((await done).error).toBeInstanceOf(Cancelled);
      await settled();
    }
    expect(world.events).toEqual([]);
  });

  test('large items travel in messages of their own, and the window bounds the bytes in flight', async () => {
    const bytes = 512 * 1024;
    let made = 0;
    const actor = await remoteScript({
      async *flow() {
        for (;;) {
          made++;
          yield new Uint8Array(bytes);
        }
      },
    });
    const items = actor.stream('flow', { note: null })[Symbol.asyncIterator]();
    await items.next();
    await settled();
    expect(made).toBeLessThanOrEqual(STREAM_WINDOW_BYTES / bytes + 2);
    for (let i = 0; i < 20; i++) await items.next();
    await items.return?.();
  });
});

describe('supervision', () => {
  const crashing = () =>
    scripted({
      run() {
        throw new RangeError('again');
      },
    });

  test('pauses grow, and after too many crashes the actor is not restarted', async () => {
    const reports: unknown[] = [];
    const supervision = { restarts: 2, backoffMs: 100, onGiveUp: (error: unknown) => reports.push(error) };
    const actor = await world.a.spawn(ScriptProtocol, 'fragile', crashing, { supervision });
    await expect(actor.ask('run', { note: null })).rejects.toThrow('again');
    for (const pauseMs of [100, 200]) {
      let answered = false;
      void actor.ask('run', { note: null }).catch(() => {
        answered = true;
      });
      await world.pass(pauseMs - 1);
      expect(answered).toBe(false);
      await world.pass(1);
      expect(answered).toBe(true);
    }
    expect(reports).toEqual([new RangeError('again')]);
    await expect(actor.ask('run', { note: null })).rejects.toThrow(Unavailable);
    const found = world.b.lookup(ScriptProtocol, 'fragile', 1_000);
    await world.pass(1_000);
    expect(await found).toEqual([]);
    expect(world.events.map((event) => event.type)).toEqual(['crashed', 'crashed', 'crashed', 'gaveUp']);
  });

  test('a factory that fails at a restart counts as a crash; one that fails at first makes spawn reject', async () => {
    let lives = 0;
    const factory = () => {
      lives++;
      if (lives === 2) throw new RangeError('no luck');
      return scripted({
        run(note) {
          if (note === 'crash') throw new TypeError('crash');
          return lives;
        },
      });
    };
    const actor = await world.a.spawn(ScriptProtocol, 'unlucky', factory);
    await expect(actor.ask('run', { note: 'crash' })).rejects.toThrow(InternalError);
    const waiting = actor.ask('run', { note: null });
    await world.pass(3 * DEFAULT_RESTART_POLICY.backoffMs);
    expect(await waiting).toBe(3);

    lives = 1;
    await expect(world.a.spawn(ScriptProtocol, 'stillborn', factory)).rejects.toThrow('no luck');
    lives = 5;
    await world.a.spawn(ScriptProtocol, 'stillborn', factory);
  });

  test('resources are released in reverse order before the next life begins, even if one release throws', async () => {
    const trace: string[] = [];
    const slow = deferred();
    const actor = await world.a.spawn(ScriptProtocol, 'holder', ({ onStop, signal }) => {
      trace.push('begin');
      signal.addEventListener('abort', () => trace.push('abort'));
      onStop(async () => {
        await slow.promise;
        trace.push('first');
      });
      onStop(() => {
        trace.push('second');
        throw new Error('while releasing');
      });
      return crashing();
    });
    await expect(actor.ask('run', { note: null })).rejects.toThrow(InternalError);
    await world.pass(DEFAULT_RESTART_POLICY.backoffMs);
    expect(trace).toEqual(['begin', 'abort', 'second']);
    slow.resolve();
    await settled();
    expect(trace).toEqual(['begin', 'abort', 'second', 'first', 'begin']);
    expect(world.events).toContainEqual({ type: 'stopFailed', actor: 'holder', error: new Error('while releasing') });
  });

  test('an actor stopped during its creation releases its resources', async () => {
    const gate = deferred();
    let released = 0;
    const spawning = world.a.spawn(ScriptProtocol, 'slow', async ({ onStop }) => {
      await gate.promise;
      onStop(() => {
        released++;
      });
      return scripted({});
    });
    const outcome = expect(spawning).rejects.toThrow(Unavailable);
    await world.a.stopActor('slow');
    gate.resolve();
    await outcome;
    expect(released).toBe(1);
  });

  test('a name belongs to one actor at a time', async () => {
    await world.a.spawn(CounterProtocol, 'counter', () => new Counter());
    await expect(world.a.spawn(CounterProtocol, 'counter', () => new Counter())).rejects.toThrow(InvalidRequest);
    await world.a.stopActor('counter');
    await world.a.spawn(CounterProtocol, 'counter', () => new Counter());
  });
});

describe('look-up', () => {
  test('finds actors by name and protocol on all nodes', async () => {
    const here = await world.a.spawn(CounterProtocol, 'counter', () => new Counter());
    const there = await world.b.spawn(CounterProtocol, 'counter', () => new Counter());
    expect((await world.a.lookup(CounterProtocol, 'counter', 1_000, 2)).map((ref) => ref.address)).toEqual([
      here.address,
      there.address,
    ]);
    const [first] = await world.a.lookup(CounterProtocol, 'counter', 1_000, 1);
    expect(await first?.ask('total', {})).toBe(0);
    const wrong = world.a.lookup(ScriptProtocol, 'counter', 1_000);
    await world.pass(1_000);
    expect(await wrong).toEqual([]);
  });

  test('waits until the timeout, because the number of actors is unknown', async () => {
    await world.b.spawn(CounterProtocol, 'counter', () => new Counter());
    let found: unknown[] | null = null;
    void world.a.lookup(CounterProtocol, 'counter', 100).then((refs) => {
      found = refs;
    });
    await world.pass(99);
    expect(found).toBeNull();
    await world.pass(1);
    expect(found).toHaveLength(1);
  });

  test('finds actors of its own node without a bus', async () => {
    await world.a.spawn(CounterProtocol, 'counter', () => new Counter());
    world.busA.lose();
    expect(await world.a.lookup(CounterProtocol, 'counter', 600_000)).toHaveLength(1);
  });
});

test('a stopped system refuses new calls, and fails the calls of its callers', async () => {
  const { actor } = await quietStream();
  const counter = world.a.ref(
    CounterProtocol,
    (await world.b.spawn(CounterProtocol, 'counter', () => new Counter())).address,
  );
  const { signal } = new AbortController();
  await counter.ask('total', {}, { timeoutMs: 60_000, signal });
  const done = drain(actor.stream('flow', { note: null }));
  await settled();
  await world.b.stop();
  expect(await done).toMatchObject({ items: [1], error: expect.any(Unavailable) });
  const late = expect(actor.ask('run', { note: null })).rejects.toThrow(Unavailable);
  await world.pass(limits.PROBE_TIMEOUT_MS);
  await late;
  await expect(world.b.spawn(CounterProtocol, 'late', () => new Counter())).rejects.toThrow(Unavailable);
  await world.a.stop();
  await expect(actor.ask('run', { note: null })).rejects.toThrow(Unavailable);
  expect(world.clock.nextAtMs()).toBeNull();
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
