import { describe, expect, it } from 'vitest';
import { FAULTS, SHORT } from '../../../../bench/chaos/registry.js';

const NAMES = [
  ...['kill-worker', 'kill-both-homes', 'kill-mid-stream', 'kill-coordinator', 'nats-stopped', 'pause-worker'],
  ...['partition', 'slow-peer', 'corrupt-frame', 'memory-exhausted', 'disk-full', 'duplicate-id', 'rolling-restart'],
  ...['join', 'herd', 'poison', 'slow-readers', 'isolation', 'unreachable-pair', 'nats-away-60s', 'nats-restarts'],
  ...['nats-cluster', 'nats-emptied', 'clock-back', 'poison-12', 'hung-disk', 'removed-folders', 'no-files'],
  ...['clocks-swapped', 'stopped-supervisor', 'kill-in-drain', 'kill-pin-keeper', 'nats-in-rolling-restart'],
  ...['second-fleet', 'mixed-context', 'wrong-blocks', 'soak'],
];

describe('the table of faults', () => {
  it('has every fault that a fleet must survive, once and in order', () => {
    expect(FAULTS.map(({ name }) => name)).toEqual(NAMES);
  });

  it('describes each fault and its criterion, and has bounds for it', () => {
    for (const { name, row, passesWhen, bounds } of FAULTS) {
      expect([name, row.length > 10, passesWhen.length > 10]).toEqual([name, true, true]);
      expect(Object.keys(bounds), name).not.toEqual([]);
    }
  });

  it('has a short form of known faults that takes less than four minutes', () => {
    const short = FAULTS.filter(({ name }) => SHORT.includes(name));
    expect(short).toHaveLength(SHORT.length);
    expect(short.reduce((sum, { expectedS }) => sum + expectedS, 0)).toBeLessThan(240);
  });
});
