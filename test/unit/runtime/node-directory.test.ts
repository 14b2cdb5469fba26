import { expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { type Clock, SimulatedClock } from '../../../src/clock.js';
import { runtimeSubjects } from '../../../src/fleet/subjects.js';
import { NODE_SILENCE_MS } from '../../../src/runtime/core/node-list.js';
import type { NodeView } from '../../../src/runtime/core/node-view.js';
import { NodeDirectory } from '../../../src/runtime/member/node-directory.js';

const view = (id: string): NodeView => ({
  ...{ id, incarnation: `${id}-1`, kind: 'node', pid: 1, host: 'h', address: null, worker: null },
  ...{ exports: [], total: {}, free: {}, actors: 0, tasks: 0 },
});

it('A process that stood still does not take members for gone before it has read what they announced meanwhile', async () => {
  const broker = new MemoryBroker();
  const clock = new SimulatedClock();
  let stillMs = 0;
  // Time goes on while this process stands still: its timers fire late.
  const own: Clock = {
    now: () => clock.now() + stillMs,
    after: (...of) => clock.after(...of),
    every: (...of) => clock.every(...of),
  };
  const make = (id: string, of: Clock) =>
    new NodeDirectory({
      bus: broker.connect(id),
      clock: of,
      subjects: runtimeSubjects('test'),
      describe: () => view(id),
    });
  const [slow, other] = [make('slow', own), make('other', clock)];
  const effects: string[] = [];
  slow.listen(({ type, node }) => effects.push(`${type} ${node.id}`));
  slow.start();
  // Its announcements come between the looks of the other.
  await clock.advance(100);
  other.start();
  await clock.advance(1_000);
  expect(effects).toEqual(['joined slow', 'joined other']);
  stillMs = NODE_SILENCE_MS + 1_000;
  await clock.advance(1_000);
  expect(effects).toHaveLength(2);
  other.stop();
  slow.stop();
});
