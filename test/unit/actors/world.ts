import { z } from 'zod';
import type { ActorEvent } from '../../../src/actors/event.js';
import { MemoryLinkHub } from '../../../src/actors/memory-links.js';
import { ask, type Behavior, type Call, defineProtocol, stream, tell } from '../../../src/actors/protocol.js';
import type { RouteKind } from '../../../src/actors/route.js';
import { ActorSystem } from '../../../src/actors/system.js';
import { MemoryBroker, type MemoryBus } from '../../../src/bus/memory-bus.js';
import { type Clock, SimulatedClock, settled } from '../../../src/clock.js';
import { InvalidRequest } from '../../../src/errors.js';
import { SeededRandom } from '../../../src/random.js';

const Nothing = z.strictObject({});

export const CounterProtocol = defineProtocol('counter', {
  add: tell(z.strictObject({ amount: z.int() })),
  total: ask(Nothing, z.int()),
  divide: ask(z.strictObject({ by: z.int() }), z.number()),
  upTo: stream(z.strictObject({ limit: z.int() }), z.int()),
});

/** A user's own class as an actor: a method for each method of the protocol. */
export class Counter implements Behavior<typeof CounterProtocol> {
  private sum = 0;

  add({ amount }: { amount: number }): void {
    this.sum += amount;
  }

  total(): number {
    return this.sum;
  }

  divide({ by }: { by: number }): number {
    if (by === 0) throw new InvalidRequest('cannot divide by zero', 'by');
    if (!Number.isSafeInteger(this.sum)) throw new RangeError('the sum has become too large');
    return this.sum / by;
  }

  async *upTo({ limit }: { limit: number }): AsyncGenerator<number> {
    for (let i = 1; i <= limit; i++) yield i;
  }
}

export const ScriptProtocol = defineProtocol('script', {
  run: ask(z.strictObject({ note: z.unknown() }), z.unknown()),
  flow: stream(z.strictObject({ note: z.unknown() }), z.unknown()),
  hear: tell(z.strictObject({ note: z.unknown() })),
});

type Script = Partial<{
  run(note: unknown, call: Call): unknown;
  flow(note: unknown, call: Call): AsyncIterable<unknown>;
  hear(note: unknown, call: Call): void | Promise<void>;
}>;

/** An actor that runs a test's functions. */
export function scripted(script: Script): Behavior<typeof ScriptProtocol> {
  return {
    run: async ({ note }, call) => script.run?.(note, call),
    flow: ({ note }, call) => script.flow?.(note, call) ?? nothing(),
    hear: ({ note }, call) => script.hear?.(note, call),
  };
}

async function* nothing(): AsyncGenerator<never> {}

/** Two connected nodes. */
export interface World {
  readonly a: ActorSystem;
  readonly b: ActorSystem;
  readonly events: ActorEvent[];
  /** Advances simulated time; waits where time is real. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export class SimulatedWorld implements World {
  readonly clock = new SimulatedClock();
  readonly events: ActorEvent[] = [];
  readonly broker: MemoryBroker;
  readonly hub = new MemoryLinkHub();
  /** Calls made, by the kind of their first route. */
  readonly paths: RouteKind[] = [];
  readonly busA: MemoryBus;
  readonly busB: MemoryBus;
  readonly a: ActorSystem;
  readonly b: ActorSystem;

  constructor(maxPayloadBytes?: number) {
    this.broker = new MemoryBroker(maxPayloadBytes === undefined ? {} : { maxPayloadBytes });
    this.busA = this.broker.connect('a');
    this.busB = this.broker.connect('b');
    this.a = this.node(this.busA, 'a', '1');
    this.b = this.node(this.busB, 'b', '1');
  }

  node(bus: MemoryBus, id: string, incarnation: string, clock: Clock = this.clock): ActorSystem {
    const system = new ActorSystem({
      bus,
      links: this.hub.node({ node: id, incarnation }),
      onCall: (path) => this.paths.push(path),
      clock,
      random: new SeededRandom(1),
      node: { id, incarnation },
      namespace: 'test',
      observe: (event) => this.events.push(event),
    });
    system.start();
    return system;
  }

  /** Opens a direct link between the two nodes. */
  link(): this {
    this.hub.connect(this.a.node, this.b.node);
    return this;
  }

  /** Closes it. */
  cut(): void {
    this.hub.cut(this.a.node, this.b.node);
  }

  pass(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  async close(): Promise<void> {
    await Promise.all([this.a.stop(), this.b.stop()]);
    await settled();
  }
}

/** A promise and the function that fulfils it. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** The items of a stream, and the error that ended it. */
export async function drain<T>(source: AsyncIterable<T>): Promise<{ items: T[]; error: unknown }> {
  const items: T[] = [];
  try {
    for await (const item of source) items.push(item);
  } catch (error) {
    return { items, error };
  }
  return { items, error: null };
}
