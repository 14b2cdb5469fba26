import { expect, test } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import { logBusStatus } from '../../../src/fleet/bus-log.js';
import { createLog } from '../../../src/log.js';
import { PACE_MS, PacedLog } from '../../../src/paced-log.js';

test('a log of warnings ends with the true state of NATS after many outages', async () => {
  const lines: string[] = [];
  const clock = new SimulatedClock();
  const log = createLog({ level: 'warn', write: (line) => lines.push(JSON.parse(line).msg) });
  const bus = new MemoryBroker().connect('c');
  logBusStatus(bus, new PacedLog(log, clock));
  for (let n = 0; n < 10; n++) {
    bus.lose();
    await clock.advance(400);
    bus.restore();
    await clock.advance(1_700);
  }
  await clock.advance(2 * PACE_MS);
  expect(lines.slice(0, 2)).toEqual([expect.stringContaining('lost NATS'), 'connected to NATS again']);
  expect(lines.slice(2)).toEqual(['connected to NATS again']);
});
