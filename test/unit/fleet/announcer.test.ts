import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker, type MemoryBus } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import type { Announcement } from '../../../src/core/member.js';
import { InternalError, Overloaded } from '../../../src/errors.js';
import { Announcer } from '../../../src/fleet/announcer.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { tryPublish } from '../../../src/fleet/try-publish.js';
import { ANNOUNCE_INTERVAL_MS } from '../../../src/limits.js';
import { AnnouncementMessage, LeaveMessage } from '../../../src/protocol/announcement.js';
import { readMessage } from '../../../src/wire/read-message.js';
import { announcement } from '../../support/announcement.js';

const subjects = fleetSubjects('fleet');

describe('an announcer', () => {
  let clock: SimulatedClock;
  let bus: MemoryBus;
  let out: MemoryBus;
  let announcer: Announcer;
  let running: number;
  let heard: (Announcement | null)[];
  let left: unknown[];
  let told: [string, unknown][];

  beforeEach(() => {
    clock = new SimulatedClock();
    const broker = new MemoryBroker();
    bus = broker.connect('own');
    out = broker.connect('outside');
    running = 0;
    heard = [];
    left = [];
    told = [];
    const linked = {
      tell: (method: string, message: unknown, published: boolean) => void (published || told.push([method, message])),
    };
    out.subscribe(subjects.announce, ({ payload }) => heard.push(readMessage(AnnouncementMessage, payload)));
    out.subscribe(subjects.leave, ({ payload }) => left.push(readMessage(LeaveMessage, payload)));
    announcer = new Announcer(bus, clock, subjects, () => announcement('own', { running }), linked);
  });

  it('announces its worker at once, regularly, and when asked', async () => {
    announcer.start();
    await clock.advance(1);
    expect(heard).toEqual([announcement('own')]);
    await clock.advance(2 * ANNOUNCE_INTERVAL_MS);
    expect(heard.length).toBe(3);
    out.publish(subjects.hello, new Uint8Array());
    await clock.advance(1);
    expect(heard.length).toBe(4);
    for (let i = 0; i < 1_000; i++) out.publish(subjects.hello, new Uint8Array());
    await clock.advance(20);
    expect(heard.length).toBeLessThan(30);
    announcer.leave();
  });

  it('announces only to linked coordinators while the bus is lost', async () => {
    announcer.start();
    await clock.advance(1);
    expect(told).toEqual([]);
    bus.lose();
    await clock.advance(ANNOUNCE_INTERVAL_MS);
    expect(told).toEqual([['announced', announcement('own')]]);
    announcer.leave();
    const { id, incarnation } = announcement('own');
    expect(told.at(-1)).toEqual(['left', { id, incarnation }]);
    expect([heard.length, left.length]).toEqual([1, 0]);
  });

  it('announces changes of load soon, many changes in one announcement', async () => {
    announcer.start();
    await clock.advance(1);
    for (running = 1; running < 5; running++) announcer.soon();
    await clock.advance(20);
    expect(heard.length).toBe(2);
    expect(heard[1]!.running).toBe(5);
    announcer.soon();
    announcer.announce();
    await clock.advance(20);
    expect(heard.length).toBe(3);
    announcer.leave();
  });

  it('announces its leave, and nothing afterwards', async () => {
    announcer.start();
    await clock.advance(1);
    announcer.soon();
    announcer.leave();
    announcer.soon();
    expect(clock.nextAtMs()).toBeNull();
    announcer.announce();
    out.publish(subjects.hello, new Uint8Array());
    await clock.advance(2_000);
    expect(left).toEqual([{ id: 'own', incarnation: '0001' }]);
    expect(heard.length).toBe(1);
  });

  it('survives a lost bus, and announces again when the bus is found', async () => {
    announcer.start();
    bus.lose();
    announcer.soon();
    await clock.advance(10_000);
    bus.restore();
    heard.length = 0;
    await clock.advance(ANNOUNCE_INTERVAL_MS);
    expect(heard.length).toBe(1);
    bus.lose();
    announcer.leave();
    expect(left).toEqual([]);
  });

  it('survives an overloaded bus', async () => {
    const { publish } = bus;
    bus.publish = () => {
      throw new Overloaded('too much waits');
    };
    announcer.start();
    announcer.soon();
    await clock.advance(1_000);
    bus.publish = publish;
    await clock.advance(ANNOUNCE_INTERVAL_MS);
    expect(heard.length).toBe(1);
    announcer.leave();
    announcer.soon();
    expect(clock.nextAtMs()).toBeNull();
  });
});

describe('tryPublish', () => {
  it('returns whether the bus accepted the message, and rethrows other errors', () => {
    const bus = new MemoryBroker({ maxPayloadBytes: 10 }).connect('own');
    expect(tryPublish(bus, 'a.b', new Uint8Array(10))).toBe(true);
    expect(() => tryPublish(bus, 'a.b', new Uint8Array(11))).toThrow('10 bytes');
    expect(() => tryPublish(bus, 'a b', new Uint8Array(1))).toThrow('a b');
    bus.lose();
    expect(tryPublish(bus, 'a.b', new Uint8Array(10))).toBe(false);
    bus.restore();
    bus.publish = () => {
      throw new InternalError('a mistake');
    };
    expect(() => tryPublish(bus, 'a.b', new Uint8Array(1))).toThrow('a mistake');
  });
});
