import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectNews } from '../../../coordinator/direct-news.js';
import { ANNOUNCE_INTERVAL_MS } from '../../../src/limits.js';
import { Hive } from './support/hive.js';

describe('a coordinator that may not hear NATS', () => {
  let hive: Hive;
  let news: DirectNews;
  beforeEach(() => {
    hive = new Hive();
    news = new DirectNews(hive.actors, hive.roster, hive.clock);
    news.start();
  });
  afterEach(async () => {
    news.stop();
    await hive.close();
  });

  it('asks linked workers for all news directly while it does not hear NATS', async () => {
    const [a, b] = [await hive.add('a'), await hive.add('b')];
    hive.link(a);
    await hive.pass(2_000);
    expect(a.followers).toEqual([]);
    hive.bus.lose();
    await hive.pass(2_000);
    expect(a.followers.length).toBeGreaterThanOrEqual(4);
    expect(a.followers[0]).toEqual(['coordinator', 3 * ANNOUNCE_INTERVAL_MS, hive.roster.epoch]);
    expect(b.followers).toEqual([]);
    hive.bus.restore();
    await hive.pass(400);
    const asked = a.followers.length;
    await hive.pass(4_000);
    expect(a.followers.length).toBe(asked);
  });

  it('asks one of the linked workers after another for those that it does not know', async () => {
    const workers = [await hive.add('a'), await hive.add('b')];
    for (const worker of workers) hive.link(worker);
    hive.bus.lose();
    await hive.pass(8 * ANNOUNCE_INTERVAL_MS);
    for (const { followers } of workers) {
      const asked = followers.filter(([, , epoch]) => epoch === hive.roster.epoch).length;
      expect(asked).toBeGreaterThan(1);
      expect(asked).toBeLessThan(followers.length);
    }
  });

  it('asks before its bus notices that it is lost, and each worker that is linked meanwhile', async () => {
    const [a, b] = [await hive.add('a'), await hive.add('b')];
    hive.link(a);
    await hive.pass(400);
    hive.broker.fault = ({ to }) => (to === 'coordinator' ? 0 : 1);
    await hive.pass(1_200);
    expect(a.followers.length).toBeGreaterThan(0);
    hive.link(b);
    await hive.clock.advance(1);
    expect(b.followers.length).toBe(1);
    hive.broker.fault = null;
  });
});
