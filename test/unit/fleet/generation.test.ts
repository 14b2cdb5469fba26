import { describe, expect, it } from 'vitest';
import type { KeyValue } from '../../../src/bus/key-value.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import type { Transport } from '../../../src/bus/transport.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Corrupt, Unavailable } from '../../../src/errors.js';
import { generationCheck, nextGeneration, takeGeneration } from '../../../src/fleet/generation.js';
import { createLog } from '../../../src/log.js';
import { SeededRandom } from '../../../src/random.js';

const CONFIG = { namespace: 'fleet', id: 'worker 1' };

/** A transport of the process in this incarnation, sealed with this secret, over buckets that outlive it. */
function transportOf(
  buckets: Map<string, KeyValue>,
  incarnation: string,
  secret = 'the secret of the fleet',
): Transport {
  const below: Transport = {
    bus: new MemoryBroker().connect('process'),
    openKeyValue: async (bucket) => {
      const opened = buckets.get(bucket) ?? new MemoryKeyValue();
      buckets.set(bucket, opened);
      return opened;
    },
  };
  const self = { id: CONFIG.id, incarnation };
  const [clock, random] = [new SimulatedClock(), new SeededRandom(1)];
  return sealTransport(below, { clock, random, secret, self, namespace: CONFIG.namespace });
}

function logOf() {
  const lines: string[] = [];
  return { lines, log: createLog({ level: 'info', write: (line) => lines.push(line) }) };
}

describe('the generation of a process', () => {
  it('is one more than that of the last process of its ID, without a clock', async () => {
    const buckets = new Map<string, KeyValue>();
    const { log, lines } = logOf();
    const taken: number[] = [];
    for (const incarnation of ['f', 'a', '0'])
      taken.push(await takeGeneration({ transport: transportOf(buckets, incarnation), log, config: CONFIG }));
    expect(taken).toEqual([1, 2, 3]);
    const other = { ...CONFIG, id: 'worker.1' };
    expect(await takeGeneration({ transport: transportOf(buckets, 'b'), log, config: other })).toBe(1);
    expect([...buckets.keys()]).toEqual(['shoal-fleet-generations']);
    expect(lines).toEqual([]);
  });

  it('is different for processes that start at the same moment', async () => {
    const kv = new MemoryKeyValue();
    const taken = await Promise.all(Array.from({ length: 20 }, () => nextGeneration(kv, 'w')));
    expect(taken.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  it('is put back by its process where NATS lost the counter, and never lowered', async () => {
    const kv = new MemoryKeyValue();
    const buckets = new Map<string, KeyValue>([['shoal-fleet-generations', kv]]);
    const transport = transportOf(buckets, 'a');
    const { log } = logOf();
    const take = () => takeGeneration({ transport, log, config: CONFIG });
    const taken = [await take(), await take()];
    const check = generationCheck({ transport, config: CONFIG }, () => taken.at(-1)!);
    kv.clear();
    await check();
    expect(await take()).toBe(3);
    await check();
    expect(await take()).toBe(4);
  });

  it('starts again where the counter was written with another secret', async () => {
    const buckets = new Map<string, KeyValue>();
    const { log } = logOf();
    await takeGeneration({ transport: transportOf(buckets, 'a'), log, config: CONFIG });
    const stranger = transportOf(buckets, 'b', 'the secret of another fleet');
    expect(await takeGeneration({ transport: stranger, log, config: CONFIG })).toBe(1);
  });

  it('is 0 without buckets, and the log says so', async () => {
    const openKeyValue = async () => {
      throw new Unavailable('JetStream is off');
    };
    const { log, lines } = logOf();
    const transport = { bus: new MemoryBroker().connect('process'), openKeyValue };
    expect(await takeGeneration({ transport, log, config: CONFIG })).toBe(0);
    expect(lines.join('')).toContain('JetStream is off');
  });

  it('fails as its bucket does for any other reason', async () => {
    const openKeyValue = async () => {
      throw new Corrupt('unreadable');
    };
    const transport = { bus: new MemoryBroker().connect('process'), openKeyValue };
    await expect(takeGeneration({ transport, log: logOf().log, config: CONFIG })).rejects.toThrow('unreadable');
  });
});
