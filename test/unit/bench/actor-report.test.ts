import { describe, expect, it } from 'vitest';
import { actorReport, type Round } from '../../../bench/actor-report.js';

function round(unixMicros: number, natsMicros: number, busyP99: number): Round {
  const route = (askMicros: number) => ({ askMicros, bareMicros: 20, askRate: 30_000, itemRate: 200_000 });
  return {
    unix: route(unixMicros),
    tcp: route(60),
    nats: route(natsMicros),
    sealedMicros: 25,
    idle: { p50: unixMicros, p99: 100 },
    busy: { p50: 300, p99: busyP99 },
  };
}

describe('the report of benchmark actor', () => {
  it('holds calls to the bare echo of the same round, and the delay by blocks to 2 ms', () => {
    const report = actorReport([round(30, 22, 1_100), round(38, 22, 2_100), round(80, 30, 9_100)]);
    expect(report.ratios.map(({ name, value, unit, holds }) => [name, value, unit, holds])).toEqual([
      ['direct Unix ask / bare Unix echo', 1.9, 'x', true],
      ['direct TCP ask / bare TCP echo', 3, 'x', true],
      ['NATS ask / bare NATS request', 1.1, 'x', true],
      ['sealed NATS request / bare NATS request', 1.25, 'x', true],
      ['p99 during block transfers - idle p99', 2, 'ms', true],
    ]);
    expect(actorReport([round(41, 24, 2_101)]).ratios.map(({ holds }) => holds)).toEqual([
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  it('has a row with its unit for each quantity', () => {
    const { rows } = actorReport([round(30, 22, 1_100)]);
    expect(new Map(rows.map(({ name, unit }) => [name, unit]))).toEqual(
      new Map([
        ['direct Unix: ask of 100 bytes', 'us'],
        ['bare Unix echo', 'us'],
        ['direct TCP: ask of 100 bytes', 'us'],
        ['bare TCP echo', 'us'],
        ['NATS: ask of 100 bytes', 'us'],
        ['bare NATS request', 'us'],
        ['sealed NATS request, without actors', 'us'],
        ['direct Unix: 64 asks in flight', 'calls/s'],
        ['direct TCP: 64 asks in flight', 'calls/s'],
        ['NATS: 64 asks in flight', 'calls/s'],
        ['direct Unix: stream', 'items/s'],
        ['direct TCP: stream', 'items/s'],
        ['NATS: stream', 'items/s'],
        ['direct Unix ask, idle, p50', 'us'],
        ['direct Unix ask, idle, p99', 'us'],
        ['direct Unix ask, during block transfers, p50', 'us'],
        ['direct Unix ask, during block transfers, p99', 'us'],
      ]),
    );
  });
});
