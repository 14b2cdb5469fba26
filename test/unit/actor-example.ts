import { z } from 'zod';
import {
  ActorSystem,
  ask,
  type Behavior,
  defineProtocol,
  MemoryBroker,
  SystemClock,
  SystemRandom,
  stream,
  tell,
} from '../../src/index.js';

const Visits = defineProtocol('visits', {
  add: tell(z.strictObject({ amount: z.int() })),
  total: ask(z.strictObject({}), z.int()),
  upTo: stream(z.strictObject({ limit: z.int() }), z.int()),
});

class CountedVisits implements Behavior<typeof Visits> {
  private sum = 0;

  add({ amount }: { amount: number }): void {
    this.sum += amount;
  }

  total(): number {
    return this.sum;
  }

  async *upTo({ limit }: { limit: number }): AsyncGenerator<number> {
    for (let i = 1; i <= limit; i++) yield i;
  }
}

export async function example(): Promise<{ total: number; items: number[] }> {
  // Between processes: a `SealedBus` over `connectNats({ url })`, `links: new PeerCallLinks(…)`, and a fresh incarnation at every start.
  const broker = new MemoryBroker();
  const ports = { clock: new SystemClock(), random: new SystemRandom(), namespace: 'example' };
  const node = (id: string) => new ActorSystem({ ...ports, bus: broker.connect(id), node: { id, incarnation: '1' } });
  const [here, there] = [node('here'), node('there')];
  await there.spawn(Visits, 'visits', () => new CountedVisits());

  const [visits] = await here.lookup(Visits, 'visits', 1_000, 1);
  if (visits === undefined) throw new Error('nobody counts visits');
  visits.tell('add', { amount: 2 });
  const total = await visits.ask('total', {}, { timeoutMs: 1_000 });
  const items: number[] = [];
  for await (const item of visits.stream('upTo', { limit: 3 })) items.push(item);

  await Promise.all([here.stop(), there.stop()]);
  return { total, items };
}
