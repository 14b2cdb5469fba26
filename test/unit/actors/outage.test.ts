import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CALL_HEARTBEAT_MS } from '../../../src/actors/system.js';
import { PULSE_INTERVAL_MS, PULSES_MISSED } from '../../../src/bus/nats-pulse.js';
import { settled } from '../../../src/clock.js';
import { Unavailable, Unheard } from '../../../src/errors.js';
import * as limits from '../../../src/limits.js';
import { Counter, CounterProtocol, deferred, drain, ScriptProtocol, SimulatedWorld, scripted } from './world.js';

const OUTAGE_MS = 10_000;
/** Time between the reconnections of two nodes. */
const APART_MS = limits.BUS_GRACE_MS - CALL_HEARTBEAT_MS;

describe('the bus is lost and found', () => {
  let world: SimulatedWorld;

  beforeEach(() => {
    world = new SimulatedWorld();
  });
  afterEach(() => world.close());

  /** The caller's reference to an actor that yields 1, waits for `goOn`, and yields the rest. */
  async function gated(last: number) {
    const gate = deferred();
    const { address } = await world.b.spawn(ScriptProtocol, 'script', () =>
      scripted({
        run: (note) => note,
        async *flow() {
          yield 1;
          await gate.promise;
          for (let i = 2; i <= last; i++) yield i;
        },
      }),
    );
    return { actor: world.a.ref(ScriptProtocol, address), goOn: () => gate.resolve() };
  }

  function upTo(last: number): number[] {
    return Array.from({ length: last }, (_, i) => i + 1);
  }

  function loseBoth(): void {
    world.busA.lose();
    world.busB.lose();
  }

  test('a caller keeps its open calls; new calls fail at once, with a message that names no subject', async () => {
    const { actor, goOn } = await gated(2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.busA.lose();
    await world.pass(limits.CALL_SILENCE_MS - CALL_HEARTBEAT_MS);
    const refused = new Unheard('script.run of script on b: cannot publish: the bus is lost');
    await expect(actor.ask('run', { note: null })).rejects.toThrow(refused);
    world.busA.restore();
    goOn();
    expect(await done).toEqual({ items: [1, 2], error: null });
  });

  test('a hung server is detected before calls count as silent', () => {
    // The last sign of life may have come right after a check.
    expect((PULSES_MISSED + 1) * PULSE_INTERVAL_MS + CALL_HEARTBEAT_MS).toBeLessThan(limits.CALL_SILENCE_MS);
  });

  test('an actor keeps its items until it hears from its caller', async () => {
    const { actor, goOn } = await gated(500);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.busB.lose();
    goOn();
    await settled();
    world.busB.restore();
    await world.pass(CALL_HEARTBEAT_MS);
    expect(await done).toEqual({ items: upTo(500), error: null });
  });

  test('an actor keeps its items no longer than the grace period for finding the bus', async () => {
    const { actor, goOn } = await gated(2);
    const done = drain(actor.stream('flow', { note: null }));
    await settled();
    world.busB.lose();
    goOn();
    world.busB.restore();
    world.broker.sever('a', 'b');
    await world.pass(limits.BUS_GRACE_MS + CALL_HEARTBEAT_MS);
    expect(await done).toEqual({ items: [1, 2], error: null });
  });

  describe.each(['caller', 'actor'])('by the %s first', (first) => {
    async function findAgain(apartMs = APART_MS): Promise<void> {
      const [one, other] = first === 'caller' ? [world.busA, world.busB] : [world.busB, world.busA];
      one.restore();
      await world.pass(apartMs);
      other.restore();
    }

    test.each([0, 1, APART_MS])('%s ms before the other, an open stream goes on', async (apartMs) => {
      const { actor, goOn } = await gated(300);
      const done = drain(actor.stream('flow', { note: null }));
      await settled();
      loseBoth();
      await world.pass(OUTAGE_MS);
      goOn();
      await findAgain(apartMs);
      await world.pass(limits.BUS_GRACE_MS);
      expect(await done).toEqual({ items: upTo(300), error: null });
    });

    test('an answer made during the outage arrives', async () => {
      const gate = deferred();
      const { address } = await world.b.spawn(ScriptProtocol, 'slow', () =>
        scripted({ run: () => gate.promise.then(() => 'late') }),
      );
      const answer = world.a.ref(ScriptProtocol, address).ask('run', { note: null });
      await settled();
      loseBoth();
      gate.resolve();
      await world.pass(OUTAGE_MS);
      await findAgain();
      await world.pass(CALL_HEARTBEAT_MS);
      expect(await answer).toBe('late');
    });
  });

  describe('by the caller, and not yet by the actor', () => {
    test('a call is sent again until it arrives, with the time left of its deadline, and is handled once', async () => {
      const deadlines: (number | null)[] = [];
      const { address } = await world.b.spawn(ScriptProtocol, 'script', () =>
        scripted({
          run: (note, { deadlineMs }) => {
            deadlines.push(deadlineMs);
            return note;
          },
        }),
      );
      loseBoth();
      await world.pass(OUTAGE_MS);
      world.busA.restore();
      const timeoutMs = limits.BUS_GRACE_MS;
      const answer = world.a.ref(ScriptProtocol, address).ask('run', { note: 'x' }, { timeoutMs });
      await world.pass(APART_MS - 1);
      world.busB.restore();
      await world.pass(CALL_HEARTBEAT_MS);
      expect(await answer).toBe('x');
      expect(deadlines).toEqual([timeoutMs - APART_MS]);
    });

    test('an actor that is gone is detected after the grace period', async () => {
      const { actor, goOn } = await gated(2);
      const running = drain(actor.stream('flow', { note: null }));
      await settled();
      loseBoth();
      goOn();
      await world.pass(OUTAGE_MS);
      await world.busB.close();
      world.busA.restore();
      let over = false;
      const fresh = drain(actor.stream('flow', { note: null })).finally(() => {
        over = true;
      });
      await world.pass(limits.BUS_GRACE_MS - 1);
      expect(over).toBe(false);
      await world.pass(CALL_HEARTBEAT_MS + limits.PROBE_TIMEOUT_MS);
      expect(await fresh).toMatchObject({ items: [], error: expect.any(Unavailable) });
      expect(await running).toMatchObject({ items: [1], error: expect.any(Unavailable) });
      const absent = expect(actor.ask('run', { note: null })).rejects.toThrow('the node is not on the bus');
      await world.pass(limits.PROBE_TIMEOUT_MS);
      await absent;
    });

    test('a call that its caller abandons during the outage is not sent again', async () => {
      const counter = new Counter();
      const { address } = await world.b.spawn(CounterProtocol, 'counter', () => counter);
      loseBoth();
      world.busA.restore();
      const abort = new AbortController();
      const call = world.a.ref(CounterProtocol, address).ask('total', {}, { signal: abort.signal });
      const outcome = expect(call).rejects.toThrow('cancelled');
      await settled();
      abort.abort();
      await outcome;
      const sent: unknown[] = [];
      world.broker.fault = (passage) => sent.push(passage);
      world.busB.restore();
      await world.pass(limits.CALL_SILENCE_MS);
      expect(sent).toEqual([]);
    });
  });
});
