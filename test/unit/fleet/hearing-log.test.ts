import { expect, test } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { Member, MemberState } from '../../../src/core/member.js';
import { HearingLog } from '../../../src/fleet/hearing-log.js';
import { createLog } from '../../../src/log.js';
import { PacedLog } from '../../../src/paced-log.js';

function logOf(states: Readonly<Record<string, MemberState>>): { lines: string[]; log: HearingLog } {
  const lines: string[] = [];
  const write = (line: string) => lines.push(JSON.parse(line).msg);
  const members = () => Object.entries(states).map(([id, state]) => ({ id, state }) as Member);
  const log = new HearingLog({
    role: 'worker',
    id: 'w1',
    log: new PacedLog(createLog({ level: 'info', write }), new SimulatedClock()),
    members,
  });
  return { lines, log };
}

test('a worker that hears nobody says so, what to check, and when it hears the fleet again', () => {
  const { lines, log } = logOf({ w1: 'serving', w2: 'suspect' });
  log.changed(false);
  log.changed(true);
  expect(lines).toEqual([
    expect.stringMatching(/^this worker hears nobody, and declares no worker dead; check that NATS/),
    'this worker hears the fleet again',
  ]);
});

test('the first worker of a fleet, and one whose others are dead, have nobody to hear', () => {
  for (const states of [{}, { w1: 'starting' }, { w1: 'serving', w2: 'dead' }] as const) {
    const { lines, log } = logOf(states);
    log.changed(false);
    log.changed(true);
    expect(lines).toEqual([]);
  }
});
