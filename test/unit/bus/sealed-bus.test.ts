import { describe, expect, test } from 'vitest';
import type { Bus, BusMessage, SubscribeOptions } from '../../../src/bus/bus.js';
import { MemoryBroker, type MemoryBus } from '../../../src/bus/memory-bus.js';
import { MESSAGE_TURN_MS, MessageTurns } from '../../../src/bus/message-turns.js';
import { MessageSealer, SEAL_SALT_BYTES } from '../../../src/bus/seal.js';
import { SealedBus } from '../../../src/bus/sealed-bus.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { CALLS_IN_FLIGHT, FLEET_COORDINATORS, FLEET_WORKERS } from '../../../src/limits.js';
import { SeededRandom } from '../../../src/random.js';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const bytes = (value: string) => new Uint8Array(Buffer.from(value));

const SECRET = 'the secret of the fleet';
const LARGE_BYTES = 900_000;
/** More senders than a receiver remembers. */
const SENDERS_KNOWN = 2 * (FLEET_WORKERS + FLEET_COORDINATORS) + 1;

class Stage {
  readonly broker = new MemoryBroker();
  readonly clock = new SimulatedClock(1_000_000);
  readonly dropped: string[] = [];
  readonly intruder: MemoryBus = this.broker.connect('intruder');
  readonly recorded: BusMessage[] = [];
  private seed = 0;

  constructor() {
    this.intruder.subscribe('fleet.>', (message) => this.recorded.push(message));
  }

  member(id: string, incarnation = '1', secret = SECRET, bus: Bus = this.broker.connect(id)): SealedBus {
    return new SealedBus({
      bus,
      clock: this.clock,
      random: new SeededRandom(++this.seed),
      secret,
      self: { id, incarnation },
      namespace: 'fleet',
      onDropped: (reason, subject) => this.dropped.push(`${reason} ${subject}`),
    });
  }

  replay(filter: (message: BusMessage) => boolean = () => true): void {
    for (const { subject, payload, reply } of this.recorded.filter(filter)) {
      this.intruder.publish(subject, payload, reply ?? undefined);
    }
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function listen(bus: SealedBus, pattern = 'fleet.news'): string[] {
  const got: string[] = [];
  bus.subscribe(pattern, ({ payload }) => got.push(text(payload)));
  return got;
}

describe('a sealed bus', () => {
  test('shows an intruder with access to the bus no payload', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b);
    a.publish('fleet.news', bytes('prompt: 17 4 99'));
    await settled();
    expect(got).toEqual(['prompt: 17 4 99']);
    expect(stage.recorded.length).toBeGreaterThan(0);
    for (const { payload } of stage.recorded) expect(text(payload)).not.toContain('prompt');
  });

  test('keeps what waits of a member, whatever comes under its name without the secret, forged or repeated', async () => {
    const stage = new Stage();
    // What the receiver gets waits until the turn that this test runs.
    let nowMs = 0;
    let turns: (() => void)[] = [];
    const lost: string[] = [];
    const pace = new MessageTurns(
      undefined,
      (subject) => lost.push(subject),
      () => nowMs++,
      (begin) => turns.push(begin),
    );
    const run = async () => {
      await settled();
      const due = turns;
      turns = [];
      for (const begin of due) begin();
      await settled();
    };
    const below = stage.broker.connect('b');
    const paced: Bus = Object.assign(Object.create(below), {
      subscribe: (pattern: string, handler: (message: BusMessage) => void, options?: SubscribeOptions) =>
        below.subscribe(pattern, (message) => pace.take(message, handler, options?.sender)),
    });
    const a = stage.member('a');
    const got = listen(stage.member('b', '1', SECRET, paced));
    a.publish('fleet.news', bytes('first'));
    for (let i = 0; i < 4; i++) await run();
    expect(got).toEqual(['first']);
    const [{ payload: recorded }] = stage.recorded.filter(({ subject }) => subject === 'fleet.news') as [BusMessage];
    // Takes the time of this turn, so that what follows has to wait.
    for (let i = 0; i < MESSAGE_TURN_MS; i++) stage.intruder.publish('fleet.news', bytes('no message'));
    a.publish('fleet.news', bytes('small'));
    a.publish('fleet.news', new Uint8Array(LARGE_BYTES));
    await settled();
    const forged = Buffer.concat([recorded, new Uint8Array(LARGE_BYTES)]);
    const large = stage.recorded.find(({ payload }) => payload.byteLength > LARGE_BYTES)!;
    for (let i = 0; i < 40; i++) {
      stage.intruder.publish('fleet.news', forged);
      stage.intruder.publish('fleet.news', large.payload);
    }
    await settled();
    expect(lost.length).toBeGreaterThan(0);
    for (let i = 0; i < 40; i++) await run();
    expect(got.map(({ length }) => length)).toEqual(['first'.length, 'small'.length, LARGE_BYTES]);
  });

  test('handles thousands of messages that waited for the proof of their sender in several turns, in their order', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b);
    const sent = Array.from({ length: 300 }, (_, i) => String(i));
    for (const one of sent) a.publish('fleet.news', bytes(one));
    await settled();
    expect(got.length).toBeGreaterThan(0);
    expect(got.length).toBeLessThan(100);
    a.publish('fleet.news', bytes('last'));
    while (got.at(-1) !== 'last') await turn();
    expect(got).toEqual([...sent, 'last']);
  });

  test('rejects messages that are not sealed, or sealed with another secret', async () => {
    const stage = new Stage();
    const [b, stranger] = [stage.member('b'), stage.member('c', '1', 'another secret, as long')];
    const got = listen(b);
    stage.intruder.publish('fleet.news', bytes('worker-1 is dead'));
    stage.intruder.publish('fleet.news', new Uint8Array(0));
    stranger.publish('fleet.news', bytes('worker-1 is dead'));
    await settled();
    expect(got).toEqual([]);
    expect(stage.dropped).toEqual(['forged fleet.news', 'forged fleet.news', 'forged fleet.news']);
  });

  test('accepts each message once', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b);
    a.publish('fleet.news', bytes('1'));
    a.publish('fleet.news', bytes('2'));
    await settled();
    stage.replay();
    await settled();
    expect(got).toEqual(['1', '2']);
    expect(stage.dropped.filter((line) => line === 'replayed fleet.news')).toHaveLength(2);
  });

  test('rejects a message on a subject other than its own', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b, 'fleet.*');
    a.publish('fleet.news', bytes('1'));
    await settled();
    for (const { payload } of [...stage.recorded]) stage.intruder.publish('fleet.orders', payload);
    await settled();
    expect(got).toEqual(['1']);
  });

  test('rejects recorded messages of a sender that is gone, however new the receiver', async () => {
    const stage = new Stage();
    const a = stage.member('a');
    listen(a);
    a.publish('fleet.news', bytes('a serves'));
    await settled();
    await a.close();
    const got = listen(stage.member('b'));
    stage.replay();
    await settled();
    await stage.clock.advance(10_000);
    stage.replay();
    await settled();
    expect(got).toEqual([]);
  });

  test('rejects old messages of a live sender, however new the receiver', async () => {
    const stage = new Stage();
    const a = stage.member('a');
    a.publish('fleet.news', bytes('a serves'));
    await settled();
    await stage.clock.advance(10_000);
    a.publish('fleet.other', bytes('a is draining'));
    const got = listen(stage.member('b'));
    stage.replay();
    await settled();
    expect(got).toEqual([]);
    expect(stage.dropped).toEqual(['late fleet.news']);
    a.publish('fleet.news', bytes('a is draining'));
    await settled();
    expect(got).toEqual(['a is draining']);
    stage.dropped.length = 0;
    stage.replay(({ subject }) => subject === 'fleet.news');
    await settled();
    expect(new Set(stage.dropped)).toEqual(new Set(['replayed fleet.news']));
  });

  test('delivers the latest messages to a new receiver, in order', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b);
    for (let i = 0; i < 100; i++) a.publish('fleet.news', bytes(String(i)));
    while (got.length < 100) await turn();
    expect(got).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
  });

  test('drops no message that names this incarnation, however slow the proof', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b, 'fleet.node.b.1.in');
    stage.broker.sever('b', 'a');
    a.publish('fleet.node.b.1.in', bytes('call 1'));
    await settled();
    expect(got).toEqual([]);
    stage.broker.heal();
    await stage.clock.advance(10_000);
    a.publish('fleet.node.b.1.in', bytes('call 2'));
    await settled();
    expect(got).toEqual(['call 1', 'call 2']);
  });

  test('bounds the messages held for a sender that sends no proof', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b);
    stage.broker.sever('b', 'a');
    for (let i = 0; i < CALLS_IN_FLIGHT + 10; i++) a.publish('fleet.news', bytes(String(i)));
    await settled();
    stage.broker.heal();
    await stage.clock.advance(300);
    a.publish('fleet.news', bytes('last'));
    while (got.at(-1) !== 'last') await turn();
    expect(got).toHaveLength(CALLS_IN_FLIGHT);
    expect(got.at(-1)).toBe('last');
  });

  test('takes no message twice, even after messages of more senders that are gone than it remembers', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    const got = listen(b, 'fleet.node.b.1.in');
    listen(b);
    a.publish('fleet.node.b.1.in', bytes('once'));
    await settled();
    const random = new SeededRandom(0);
    for (let i = 0; i < SENDERS_KNOWN; i++) {
      const gone = new MessageSealer(SECRET, { id: `gone ${i}`, incarnation: '1' }, random.bytes(SEAL_SALT_BYTES));
      stage.intruder.publish('fleet.news', gone.seal('fleet.news', '', bytes('hello')));
    }
    await settled();
    stage.replay(({ subject }) => subject === 'fleet.node.b.1.in');
    await settled();
    expect(got).toEqual(['once']);
    expect(stage.dropped).toContain('replayed fleet.node.b.1.in');
  });

  test('passes on the report of a message without a subscriber', async () => {
    const stage = new Stage();
    const a = stage.member('a');
    const nobody: boolean[] = [];
    a.subscribe('fleet.node.a.1.call.1', (message) => nobody.push(message.nobody), { reports: true });
    stage.intruder.close();
    a.publish('fleet.nowhere', bytes(''), 'fleet.node.a.1.call.1');
    await settled();
    expect(nobody).toEqual([true]);
  });

  test('hands a forged report to no subscription that did not ask for reports', async () => {
    const stage = new Stage();
    const a = stage.member('a');
    const got: unknown[] = [];
    a.subscribe('fleet.echo.a.1', (message) => got.push(message));
    await stage.intruder.close();
    stage.broker.connect('forger').publish('fleet.nowhere', bytes(''), 'fleet.echo.a.1');
    await settled();
    expect(got).toEqual([]);
  });

  test('treats such a report as forged on a subject that does not name its own incarnation', async () => {
    const stage = new Stage();
    const a = stage.member('a');
    const got: unknown[] = [];
    a.subscribe('fleet.hello', (message) => got.push(message), { reports: true });
    await stage.intruder.close();
    stage.broker.connect('forger').publish('fleet.nowhere', bytes(''), 'fleet.hello');
    await settled();
    expect(got).toEqual([]);
    expect(stage.dropped).toEqual(['forged fleet.hello']);
  });

  test('answers a challenge once, however often it is repeated', async () => {
    const stage = new Stage();
    const [a, b] = [stage.member('a'), stage.member('b')];
    listen(b);
    a.publish('fleet.news', bytes('1'));
    await settled();
    const challenges = stage.recorded.filter(({ subject }) => subject === 'fleet.proof.a.1');
    expect(challenges).toHaveLength(1);
    stage.recorded.length = 0;
    for (let i = 0; i < 10; i++) stage.intruder.publish(challenges[0]!.subject, challenges[0]!.payload);
    await settled();
    expect(stage.recorded.filter(({ subject }) => subject === 'fleet.proof.b.1')).toEqual([]);
    expect(stage.dropped.filter((line) => line.startsWith('replayed'))).toHaveLength(10);
  });

  test('hears a newcomer at once among any number of messages of strangers, whatever names they use', async () => {
    const stage = new Stage();
    const got = listen(stage.member('b'));
    const newcomer = stage.member('a');
    for (let i = 0; i < 500; i++) {
      const name = i % 2 === 0 ? 'a' : `stranger ${i}`;
      stage.member(name, '1', 'another secret, as long').publish('fleet.news', bytes('x'));
    }
    newcomer.publish('fleet.news', bytes('here I am'));
    await settled();
    expect(got).toEqual(['here I am']);
  });

  test('hears a newcomer whose marks are on forged messages', async () => {
    const stage = new Stage();
    const [newcomer, b] = [stage.member('a'), stage.member('b')];
    newcomer.publish('fleet.before', bytes('nobody listens'));
    await settled();
    const got = listen(b);
    const forged = Uint8Array.from(stage.recorded[0]!.payload);
    forged[forged.length - 1]! ^= 1;
    for (let i = 0; i < 500; i++) stage.intruder.publish('fleet.news', forged);
    newcomer.publish('fleet.news', bytes('here I am'));
    await settled();
    expect(got).toEqual(['here I am']);
  });

  test('derives a bounded number of keys a second for forged messages with the marks of recorded ones', async () => {
    const stage = new Stage();
    for (let i = 0; i < 100; i++) stage.member(`gone ${i}`).publish('fleet.before', bytes('x'));
    await settled();
    const b = stage.member('b');
    const got = listen(b);
    for (const { payload } of [...stage.recorded]) {
      const forged = Uint8Array.from(payload);
      forged[forged.length - 1]! ^= 1;
      stage.intruder.publish('fleet.news', forged);
    }
    await settled();
    const newcomer = stage.member('a');
    newcomer.publish('fleet.news', bytes('unread'));
    await settled();
    expect(got).toEqual([]);
    await stage.clock.advance(1_000);
    newcomer.publish('fleet.news', bytes('read'));
    await settled();
    expect(got).toEqual(['read']);
  });
});
