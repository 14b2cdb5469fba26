import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { droppedLog } from '../../../src/fleet/dropped-log.js';
import { createLog } from '../../../src/log.js';

it('a flood of dropped messages costs a line for each reason in 30 s, with their number', async () => {
  const lines: { msg: string; subject: string; repeats?: number }[] = [];
  const clock = new SimulatedClock();
  const dropped = droppedLog(createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line)) }), clock);
  for (let i = 0; i < 1_000; i++) dropped(i % 2 === 0 ? 'forged' : 'replayed', `shoal.${i}`);
  expect(lines.map(({ subject }) => subject)).toEqual(['shoal.0', 'shoal.1']);
  await clock.advance(30_000);
  expect(lines.slice(2)).toMatchObject([
    { subject: 'shoal.998', repeats: 499, msg: expect.stringContaining('do not carry the secret') },
    { subject: 'shoal.999', repeats: 499, msg: expect.stringContaining('came a second time') },
  ]);
});

it('a warning of dropped messages says what to do, and late ones, which are normal at a start, give none', () => {
  const lines: { level: string; msg: string }[] = [];
  const write = (line: string) => lines.push(JSON.parse(line));
  const dropped = droppedLog(createLog({ level: 'debug', write }), new SimulatedClock());
  dropped('late', 'shoal.hello');
  dropped('replayed', 'shoal.hello');
  expect(lines).toMatchObject([
    { level: 'debug', msg: expect.stringContaining('long after they were sent') },
    { level: 'warn', msg: expect.stringContaining('change the password of NATS') },
  ]);
});
