import { describe, expect, test } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { MessageOpener } from '../../../src/bus/seal.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import { SimulatedClock } from '../../../src/clock.js';
import { SystemRandom } from '../../../src/random.js';

/** Buckets of one server, and members that open them. */
class Stage {
  readonly buckets = new Map<string, MemoryKeyValue>();
  private readonly broker = new MemoryBroker();

  member(id: string, secret = 'the secret of the fleet') {
    const openKeyValue = async (bucket: string) => {
      const known = this.buckets.get(bucket) ?? new MemoryKeyValue();
      this.buckets.set(bucket, known);
      return known;
    };
    return sealTransport(
      { bus: this.broker.connect(id), openKeyValue },
      {
        clock: new SimulatedClock(),
        random: new SystemRandom(),
        secret,
        self: { id, incarnation: '1' },
        namespace: 'fleet',
      },
    );
  }
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

describe('the sealed buckets of a transport', () => {
  test('show values to members only', async () => {
    const stage = new Stage();
    const bucket = await stage.member('a').openKeyValue('fleet');
    await bucket.create('charter', bytes('replicas: 2'));
    const stored = await stage.buckets.get('fleet')!.get('charter');
    expect(Buffer.from(stored!.value).toString('latin1')).not.toContain('replicas');
    const read = async (secret?: string) => {
      const entry = await (await stage.member('b', secret).openKeyValue('fleet')).get('charter');
      return Buffer.from(entry!.value).toString();
    };
    expect(await read()).toBe('replicas: 2');
    expect(await read('another secret, as long')).toBe('');
  });

  test('use no nonce twice: neither two buckets, nor one that is opened twice, nor a later process of the same name', async () => {
    const stage = new Stage();
    const member = stage.member('a');
    await (await member.openKeyValue('fleet')).create('charter', bytes('1'));
    await (await member.openKeyValue('fleet')).create('generation', bytes('2'));
    await (await member.openKeyValue('pins')).create('pin', bytes('3'));
    await (await stage.member('a').openKeyValue('pins')).create('other', bytes('4'));
    const nonces = new Set<string>();
    for (const [bucket, key] of [
      ['fleet', 'charter'],
      ['fleet', 'generation'],
      ['pins', 'pin'],
      ['pins', 'other'],
    ] as const) {
      const { value } = (await stage.buckets.get(bucket)!.get(key))!;
      const envelope = MessageOpener.peek(value)!;
      nonces.add(`${envelope.origin} ${envelope.counter}`);
    }
    expect(nonces.size).toBe(4);
  });
});
