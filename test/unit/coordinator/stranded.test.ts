import { beforeEach, describe, expect, it } from 'vitest';
import { Stranded } from '../../../coordinator/stranded.js';
import { orAbort } from '../../../src/async/abort.js';
import type { Bus, BusStatus } from '../../../src/bus/bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Unavailable } from '../../../src/errors.js';

describe('a request on a worker that only NATS leads to', () => {
  let clock: SimulatedClock;
  let tell: (status: BusStatus) => void;
  let stranded: Stranded;
  let elsewhere: boolean;
  let say: (item: string) => void;
  let outcome: Promise<string[]>;

  beforeEach(async () => {
    clock = new SimulatedClock();
    const bus: Pick<Bus, 'onStatus'> = {
      onStatus: (listener) => {
        tell = listener;
        return () => {};
      },
    };
    stranded = new Stranded(bus, clock);
    elsewhere = true;
    outcome = collect(
      stranded.follow({ reachable: () => false, elsewhere: () => elsewhere }, new AbortController().signal, items),
    );
    outcome.catch(() => {});
    await clock.advance(0);
  });

  /** Items that `say` gives, until the signal aborts. */
  async function* items(signal: AbortSignal): AsyncGenerator<string> {
    for (;;) {
      const item = await orAbort(new Promise<string>((resolve) => (say = resolve)), signal);
      yield item;
      if (item === 'end') return;
    }
  }

  async function collect(from: AsyncIterable<string>): Promise<string[]> {
    const all: string[] = [];
    for await (const item of from) all.push(item);
    return all;
  }

  it('waits for less than three seconds of an outage', async () => {
    tell('lost');
    await clock.advance(2_900);
    say('end');
    expect(await outcome).toEqual(['end']);
  });

  it('goes on elsewhere after more, once another worker can be reached', async () => {
    elsewhere = false;
    tell('lost');
    await clock.advance(10_000);
    elsewhere = true;
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow(Unavailable);
  });

  it('goes on elsewhere after several short outages without a word from its worker', async () => {
    for (let outage = 0; outage < 2; outage++) {
      tell('lost');
      await clock.advance(1_900);
      tell('found');
      await clock.advance(500);
    }
    tell('lost');
    await clock.advance(1_900);
    await expect(outcome).rejects.toThrow(Unavailable);
  });

  it('stays where it is if the worker is heard between outages', async () => {
    for (let outage = 0; outage < 10; outage++) {
      tell('lost');
      await clock.advance(1_900);
      tell('found');
      say(`item ${outage}`);
      await clock.advance(500);
    }
    say('end');
    expect(await outcome).toHaveLength(11);
  });
});
