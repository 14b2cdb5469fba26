import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoreRoom } from '../../../../cli/nats/store-probe.js';
import { StoreWatch } from '../../../../cli/nats/store-watch.js';
import { SimulatedClock } from '../../../../src/clock.js';

const LOOK_MS = 5_000;
const STOPPED = 'it does not answer';

describe('the watch over the store of nats-server', () => {
  let clock: SimulatedClock;
  let watch: StoreWatch;
  let fault: string | null;
  let room: StoreRoom;
  let restarts: number;
  let notices: string[];

  beforeEach(() => {
    clock = new SimulatedClock();
    [fault, room, restarts, notices] = [null, 'room', 0, []];
    watch = new StoreWatch({
      clock,
      dir: '/tmp/nats',
      fault: async () => fault,
      room: async () => room,
      restart: () => restarts++,
      onNotice: (line) => notices.push(line),
    });
    watch.start();
  });
  afterEach(() => {
    watch.stop();
    expect(clock.nextAtMs()).toBeNull();
  });

  async function looks(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await clock.advance(LOOK_MS);
  }

  it('leaves a server alone whose store works, with room and without', async () => {
    await looks(9);
    room = 'full';
    await looks(9);
    expect([restarts, notices]).toEqual([0, []]);
  });

  it('says once that the disk is full, and restarts the server as soon as there is room', async () => {
    fault = STOPPED;
    room = 'full';
    await looks(20);
    expect(restarts).toBe(0);
    expect(notices).toEqual([expect.stringContaining('the disk of /tmp/nats is full')]);
    room = 'room';
    await looks(1);
    expect(restarts).toBe(1);
    await looks(9);
    expect(restarts).toBe(1);
  });

  it('restarts a server whose folder was removed and whose store has stopped', async () => {
    room = 'gone';
    await looks(9);
    expect(restarts).toBe(0);
    fault = STOPPED;
    await looks(3);
    expect(restarts).toBe(1);
    expect(notices).toEqual(['its store has stopped, because /tmp/nats was removed; restarting it']);
  });

  it('does not restart a server that was late once or twice', async () => {
    for (let i = 0; i < 5; i++) {
      fault = STOPPED;
      await looks(2);
      fault = null;
      await looks(1);
    }
    expect(restarts).toBe(0);
  });

  it('leaves a server alone whose store recovers by itself', async () => {
    fault = STOPPED;
    room = 'full';
    await looks(6);
    [fault, room] = [null, 'room'];
    await looks(6);
    expect(restarts).toBe(0);
  });
});
