import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { workerRelay } from '../../../coordinator/poison/worker-relay.js';
import type { NodeAddress } from '../../../src/actors/envelope.js';
import { MemoryLinkHub } from '../../../src/actors/memory-links.js';
import { ActorSystem } from '../../../src/actors/system.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../../../src/protocol/coordinator.js';
import type { SuspicionMessage } from '../../../src/protocol/suspicion.js';
import { WorkerProtocol } from '../../../src/protocol/worker.js';
import { SeededRandom } from '../../../src/random.js';
import { SuspicionRelay } from '../../../workers/suspicion-relay.js';

const WORKERS = ['w1', 'w2', 'w3'];
const PROMPT = 'a'.repeat(32);

const WITNESSED: SuspicionMessage = {
  ...({ type: 'witnessed', from: 'a', worker: 'w0', incarnation: '1', agoMs: 0 } as const),
  prompts: [{ prompt: PROMPT, request: PROMPT, tokens: 3, fresh: 2, ranMs: 40 }],
};
const CLAIM: SuspicionMessage = {
  ...({ type: 'claim', from: 'a', prompt: PROMPT, worker: 'w1', runs: true, seq: 1, suspect: false } as const),
};

describe('evidence against prompts, while NATS is away', () => {
  let clock: SimulatedClock;
  let hub: MemoryLinkHub;
  let systems: Map<string, ActorSystem>;
  let heard: SuspicionMessage[];
  let received: number;

  beforeEach(async () => {
    clock = new SimulatedClock();
    hub = new MemoryLinkHub();
    systems = new Map();
    [heard, received] = [[], 0];
    for (const id of ['a', 'b']) await start(id);
    for (const id of WORKERS) await start(id);
  });
  afterEach(async () => {
    for (const system of systems.values()) await system.stop();
  });

  const node = (id: string): NodeAddress => ({ node: id, incarnation: '1' });
  const link = (one: string, other: string) => hub.connect(node(one), node(other));

  async function start(id: string): Promise<void> {
    const bus = new MemoryBroker().connect(id);
    bus.lose();
    const random = new SeededRandom(1);
    const system = new ActorSystem({
      bus,
      clock,
      random,
      node: { id, incarnation: '1' },
      namespace: 'fleet',
      links: hub.node(node(id)),
    });
    systems.set(id, system);
    if (id === 'b')
      await system.spawn(CoordinatorProtocol, COORDINATOR_ACTOR, () => ({
        announced: () => {},
        left: () => {},
        holdings: () => {},
        suspicion: (message) => void heard.push(message),
      }));
    if (!WORKERS.includes(id)) return;
    const members = WORKERS.map((worker) => ({ id: worker, incarnation: '1', state: 'serving' }));
    const relay = new SuspicionRelay(system, clock, id, { members: () => members as never });
    await system.spawn(WorkerProtocol, 'worker', () => ({
      drain: () => ({}),
      undrain: () => ({}),
      follow: () => {},
      suspicion: (message, { from }) => {
        received++;
        relay.hear(message, from);
      },
      suspicions: () => ({ messages: relay.list() }),
    }));
  }

  async function say(...messages: SuspicionMessage[]): Promise<void> {
    for (const message of messages) workerRelay(systems.get('a')!).tell(message);
    await clock.advance(1_000);
  }

  it('reaches a coordinator that has no worker in common with the one that knows it, once', async () => {
    link('a', 'w1');
    link('w1', 'w2');
    link('w2', 'b');
    await say(WITNESSED, CLAIM);
    expect(heard).toEqual([WITNESSED, CLAIM]);
  });

  it('reaches workers to which the link opens later, and whoever they are connected to', async () => {
    link('a', 'w1');
    link('w3', 'b');
    await say(WITNESSED);
    expect(heard).toEqual([]);
    link('w1', 'w2');
    await clock.advance(1_000);
    link('w2', 'w3');
    await clock.advance(1_000);
    expect(heard.map(({ type, from }) => [type, from])).toEqual([['witnessed', 'a']]);
  });

  it('does not circulate among workers that are all connected', async () => {
    link('a', 'w1');
    for (const [one, other] of [
      ['w1', 'w2'],
      ['w2', 'w3'],
      ['w3', 'w1'],
    ] as const)
      link(one, other);
    await say(CLAIM, CLAIM);
    expect(received).toBe(2 * WORKERS.length);
    await say(WITNESSED);
    // Each worker takes it as news once, and tells the two others but for the one that told it.
    expect(received).toBeLessThanOrEqual(2 * WORKERS.length + WORKERS.length * (WORKERS.length - 1));
    const before = received;
    await clock.advance(60_000);
    expect(received).toBe(before);
  });
});
