import { describe, expect, it } from 'vitest';
import { NEW_MS, namesakeAtStart, watchNamesakes } from '../../../coordinator/namesake.js';
import { Siblings } from '../../../coordinator/siblings.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Refused } from '../../../src/errors.js';
import { LISTEN_MS } from '../../../src/fleet/namesake-check.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { createLog } from '../../../src/log.js';
import { passTime } from '../../support/pass-time.js';

const subjects = fleetSubjects('fleet');

function world() {
  const [clock, broker] = [new SimulatedClock(), new MemoryBroker()];
  const start = (id: string, pid: number) => {
    const bus = broker.connect(`${id}-${pid}`);
    const siblings = new Siblings(bus, clock, subjects, { id, pid, host: 'h' });
    const [ends, lines]: string[][] = [[], []];
    const log = createLog({ level: 'info', write: (line) => lines!.push(JSON.parse(line).msg) });
    watchNamesakes(siblings, { clock, log, end: (why) => void ends!.push(why) });
    siblings.start();
    return { bus, siblings, ends: ends!, lines: lines! };
  };
  const ask = (id: string) =>
    passTime(clock, namesakeAtStart({ bus: broker.connect(`${id}-new`), clock, subjects, id }));
  return { clock, start, ask };
}

describe('a coordinator that starts', () => {
  it('is refused while another one of its name lives', async () => {
    const { start, ask } = world();
    const { lines, ends } = start('a', 1);
    const refusal = await ask('a');
    expect(refusal).toBeInstanceOf(Refused);
    expect(refusal!.message).toMatch(/named a too: process 1 on h; give each a --coordinator-id/);
    expect([lines, ends]).toEqual([[], []]);
  });

  it('takes a free name, and that of one that is gone, after a moment, and leaves no timer', async () => {
    const { clock, start, ask } = world();
    const { siblings } = start('a', 1);
    expect(await ask('b')).toBeNull();
    siblings.stop();
    const atMs = clock.now();
    expect(await ask('a')).toBeNull();
    expect(clock.now() - atMs).toBe(LISTEN_MS);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('ends if it hears another one of its name only later, and the earlier one says so and stays', async () => {
    const { clock, start } = world();
    const first = start('a', 1);
    await clock.advance(NEW_MS);
    const second = start('a', 2);
    await clock.advance(500);
    expect(second.ends[0]).toMatch(/named a too: process 1 on h/);
    expect(first.ends).toEqual([]);
    expect(first.lines[0]).toMatch(/named a too: process 2 on h/);
  });
});
