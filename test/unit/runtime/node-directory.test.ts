import { expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { type Clock, SimulatedClock } from '../../../src/clock.js';
import { runtimeSubjects } from '../../../src/fleet/subjects.js';
import { NODE_SILENCE_MS, OUTAGE_GRACE_MS } from '../../../src/runtime/core/node-list.js';
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

it('A bus that falls silent without a word proves nothing about other members, and neither does its first word', async () => {
  const broker = new MemoryBroker();
  const clock = new SimulatedClock();
  const make = (id: string, describe: (() => NodeView) | null, more?: { echo: string }) =>
    new NodeDirectory({ bus: broker.connect(id), clock, subjects: runtimeSubjects('test'), describe, ...more });
  const [a, b] = [make('a', () => view('a')), make('b', () => view('b'))];
  // A process that only listens hears itself by other messages.
  const listener = make('listener', null, { echo: 'test.echo' });
  const voice = broker.connect('listener');
  clock.every(200, () => voice.publish('test.echo', new Uint8Array()));
  const effects: string[] = [];
  for (const [id, each] of Object.entries({ a, listener }))
    each.listen(({ type, node }) => effects.push(`${id}: ${type} ${node.id}`));
  for (const each of [a, b, listener]) each.start();
  await clock.advance(1_000);
  effects.length = 0;
  let isSilent = true;
  broker.fault = ({ from }) => (isSilent || from === 'b' ? 0 : 1);
  await clock.advance(5 * NODE_SILENCE_MS);
  expect(effects).toEqual([]);
  isSilent = false;
  // The others find the bus later.
  await clock.advance(OUTAGE_GRACE_MS);
  expect(effects).toEqual([]);
  await clock.advance(2 * NODE_SILENCE_MS);
  expect(effects.toSorted()).toEqual(['a: gone b', 'listener: gone b']);
  for (const each of [a, b, listener]) each.stop();
});
