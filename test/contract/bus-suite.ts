import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bus, BusMessage, SubscribeOptions } from '../../src/bus/bus.js';
import { InvalidRequest, Unavailable } from '../../src/errors.js';

export interface BusStage {
  /** Opens another connection to the same server. `onError` receives the errors of its handlers. */
  connect(onError?: (error: unknown) => void): Bus | Promise<Bus>;
  /** The subject on which a connection can be told that its messages have no subscriber; any subject by default. */
  inboxOf?(bus: Bus): string;
  close(): Promise<void>;
}

/** The contract of the `Bus` port. */
export function busContract(name: string, makeStage: () => BusStage | Promise<BusStage>): void {
  describe(name, () => {
    let stage: BusStage;
    let a: Bus;
    let b: Bus;
    beforeEach(async () => {
      stage = await makeStage();
      [a, b] = await Promise.all([stage.connect(), stage.connect()]);
    });
    afterEach(async () => {
      await Promise.all([a.close(), b.close()]);
      await stage.close();
    });

    /** The messages that `bus` receives. */
    const collect = async (bus: Bus, pattern: string, publish: () => void): Promise<string[]> => {
      const got: string[] = [];
      const subscription = bus.subscribe(pattern, (message) => got.push(`${message.subject}=${text(message)}`));
      await bus.flush();
      publish();
      await Promise.all([arrival(a, bus), arrival(b, bus)]);
      subscription.unsubscribe();
      return got;
    };

    test('delivers bytes, subject and reply to all subscribers, including the publisher', async () => {
      const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
      const seen = Promise.all([a, b].map((bus) => once(bus, 'news.today')));
      await Promise.all([a.flush(), b.flush()]);
      a.publish('news.today', payload, 'inbox.1');
      for (const message of await seen) {
        expect(message).toMatchObject({ subject: 'news.today', reply: 'inbox.1', nobody: false });
        expect(new Uint8Array(message.payload)).toEqual(payload);
      }
    });

    test('keeps the order of each publisher across subjects', async () => {
      const expected = Array.from({ length: 500 }, (_, i) => `order.${i % 3}=${i}`);
      const got = await collect(b, 'order.>', () => {
        for (let i = 0; i < 500; i++) a.publish(`order.${i % 3}`, bytes(String(i)));
      });
      expect(got).toEqual(expected);
    });

    test('matches one token with *, and one or more with >', async () => {
      const subjects = ['x', 'x.y', 'x.z', 'x.y.z', 'x.y.w.z', 'q.y'];
      const publish = () => {
        for (const subject of subjects) a.publish(subject, bytes(''));
      };
      expect(await collect(b, 'x.*', publish)).toEqual(['x.y=', 'x.z=']);
      expect(await collect(b, 'x.>', publish)).toEqual(['x.y=', 'x.z=', 'x.y.z=', 'x.y.w.z=']);
      expect(await collect(b, '*.y.>', publish)).toEqual(['x.y.z=', 'x.y.w.z=']);
      expect(await collect(b, 'x.*.z', publish)).toEqual(['x.y.z=']);
      expect(await collect(b, '>', () => a.publish('any', bytes('1')))).toContain('any=1');
    });

    test('delivers a message to one subscriber of each queue group, and to all others', async () => {
      const counts = { first: 0, second: 0, other: 0, alone: 0 };
      a.subscribe('job', () => counts.first++, { queue: 'workers' });
      b.subscribe('job', () => counts.second++, { queue: 'workers' });
      b.subscribe('job', () => counts.other++, { queue: 'others' });
      b.subscribe('job', () => counts.alone++);
      await Promise.all([a.flush(), b.flush()]);
      for (let i = 0; i < 100; i++) a.publish('job', bytes(''));
      await Promise.all([arrival(a, a), arrival(a, b)]);
      expect(counts.first + counts.second).toBe(100);
      expect(counts).toMatchObject({ other: 100, alone: 100 });
    });

    test('stops at once when unsubscribed, even from within the handler', async () => {
      let count = 0;
      const subscription = b.subscribe('tick', () => {
        count++;
        subscription.unsubscribe();
      });
      await b.flush();
      for (let i = 0; i < 5; i++) a.publish('tick', bytes(''));
      await arrival(a, b);
      expect(count).toBe(1);
      subscription.unsubscribe();
    });

    test('delivers nothing to a subscription that another subscriber’s handler has ended', async () => {
      let count = 0;
      const subscriptions = [0, 1].map((i) =>
        b.subscribe('shared', () => {
          count++;
          subscriptions[1 - i]?.unsubscribe();
        }),
      );
      await b.flush();
      a.publish('shared', bytes(''));
      await arrival(a, b);
      expect(count).toBe(1);
    });

    test('reports to the reply subject that there is no subscriber', async () => {
      const inbox = stage.inboxOf?.(a) ?? 'inbox';
      const reply = once(a, `${inbox}.*`, { reports: true });
      await a.flush();
      a.publish('nobody.here', bytes('hello'), `${inbox}.7`);
      expect(await reply).toMatchObject({ subject: `${inbox}.7`, nobody: true, reply: null });
    });

    test('hands no report to a subscription that did not ask for reports', async () => {
      const inbox = stage.inboxOf?.(a) ?? 'inbox';
      const heard: BusMessage[] = [];
      a.subscribe(`${inbox}.*`, (message) => heard.push(message));
      await a.flush();
      a.publish('nobody.here', bytes('hello'), `${inbox}.7`);
      await arrival(a, a);
      expect(heard).toEqual([]);
    });

    test('refuses a payload over its limit, with both numbers', async () => {
      const tooLarge = new Uint8Array(a.maxPayloadBytes + 1);
      expect(() => a.publish('large', tooLarge)).toThrow(InvalidRequest);
      expect(() => a.publish('large', tooLarge)).toThrow(`${tooLarge.byteLength} bytes`);
      const largest = once(b, 'large');
      await b.flush();
      a.publish('large', tooLarge.subarray(1));
      expect((await largest).payload.byteLength).toBe(a.maxPayloadBytes);
    });

    test.each(['', 'a b', 'a..b', '.a', 'a.', 'a.*', '>', 'a\r\nPUB b 0'])('does not publish to %j', (subject) => {
      expect(() => a.publish(subject, bytes(''))).toThrow(InvalidRequest);
      expect(() => a.publish('fine', bytes(''), subject)).toThrow(InvalidRequest);
    });

    test.each(['', 'a b', 'a..b', 'a.>.b', 'a*', 'a.b>'])('does not subscribe to %j', (pattern) => {
      expect(() => a.subscribe(pattern, () => undefined)).toThrow(InvalidRequest);
    });

    test('continues after a handler has thrown', async () => {
      const errors: unknown[] = [];
      const tough = await stage.connect((error) => errors.push(error));
      const second = new Promise<void>((resolve) => {
        tough.subscribe('bad', (message) => {
          if (text(message) === '2') return resolve();
          throw new RangeError('in a handler');
        });
      });
      await tough.flush();
      a.publish('bad', bytes('1'));
      a.publish('bad', bytes('2'));
      await second;
      expect(errors).toEqual([new RangeError('in a handler')]);
      await tough.close();
    });

    test('sends messages published before it is closed, and is Unavailable afterwards', async () => {
      // A bus may take messages only from connections that it knows to be alive.
      await arrival(a, b);
      const last = once(b, 'last');
      await b.flush();
      a.publish('last', bytes('word'));
      await a.close();
      await a.close();
      expect(text(await last)).toBe('word');
      expect(a.connected).toBe(false);
      expect(() => a.publish('last', bytes(''))).toThrow(Unavailable);
      expect(() => a.subscribe('last', () => undefined)).toThrow(Unavailable);
      await expect(a.flush()).rejects.toThrow(Unavailable);
    });
  });
}

export function once(bus: Bus, pattern: string, options?: SubscribeOptions): Promise<BusMessage> {
  return new Promise((resolve) => {
    const heard = (message: BusMessage) => {
      subscription.unsubscribe();
      resolve(message);
    };
    const subscription = bus.subscribe(pattern, heard, options);
  });
}

let arrivals = 0;

/** Resolves when all messages published by `from` so far have arrived at `to`, by publishing one more. */
async function arrival(from: Bus, to: Bus): Promise<void> {
  const subject = `arrival.${++arrivals}`;
  const message = once(to, subject);
  await to.flush();
  from.publish(subject, new Uint8Array(0));
  await message;
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(message: BusMessage): string {
  return new TextDecoder().decode(message.payload);
}
