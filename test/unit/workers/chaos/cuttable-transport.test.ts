import { describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { settled } from '../../../../src/clock.js';
import { Unavailable } from '../../../../src/errors.js';
import { Cut } from '../../../../workers/chaos/cut.js';
import { cuttableTransport } from '../../../../workers/chaos/cuttable-transport.js';

const [HELLO, WORLD] = ['hello', 'world'].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array];

/** A worker whose transport can be cut, and another process on the same bus. */
function scene() {
  const broker = new MemoryBroker();
  const cut = new Cut();
  const below = broker.connect('worker');
  const kv = new MemoryKeyValue();
  const transport = cuttableTransport({ bus: below, openKeyValue: async () => kv }, cut);
  const other = broker.connect('other');
  const heard: string[] = [];
  const note = (by: string) => (message: { payload: Uint8Array }) =>
    heard.push(`${by} hears ${new TextDecoder().decode(message.payload)}`);
  transport.bus.subscribe('to.worker', note('worker'));
  other.subscribe('to.other', note('other'));
  const statuses: string[] = [];
  transport.bus.onStatus((status) => statuses.push(status));
  return { below, cut, transport, bus: transport.bus, other, heard, statuses };
}

describe('a transport that can be cut', () => {
  it('is silent both ways meanwhile, and carries messages again afterwards', async () => {
    const { cut, bus, other, heard, statuses } = scene();
    cut.begin();
    expect(bus.connected).toBe(false);
    expect(() => bus.publish('to.other', HELLO)).toThrow(Unavailable);
    await expect(bus.flush()).rejects.toThrow(Unavailable);
    other.publish('to.worker', HELLO);
    await settled();
    expect(heard).toEqual([]);
    cut.end();
    expect(bus.connected).toBe(true);
    bus.publish('to.other', WORLD);
    other.publish('to.worker', WORLD);
    await bus.flush();
    await settled();
    expect(heard.toSorted()).toEqual(['other hears world', 'worker hears world']);
    expect(statuses).toEqual(['lost', 'found']);
  });

  it('tells of a loss once, whichever comes first, and of the return when both are over', () => {
    const { below, cut, statuses } = scene();
    below.lose();
    cut.begin();
    expect(statuses).toEqual(['lost']);
    below.restore();
    expect(statuses).toEqual(['lost']);
    cut.end();
    expect(statuses).toEqual(['lost', 'found']);
  });

  it('reaches no bucket meanwhile', async () => {
    const { cut, transport } = scene();
    const kv = await transport.openKeyValue('values');
    expect(await kv.create('key', HELLO)).toBe(true);
    cut.begin();
    await expect(transport.openKeyValue('values')).rejects.toThrow(Unavailable);
    await expect(kv.get('key')).rejects.toThrow(Unavailable);
    await expect(kv.create('other', HELLO)).rejects.toThrow(Unavailable);
    await expect(kv.update('key', WORLD, 1)).rejects.toThrow(Unavailable);
    await expect(kv.delete('key')).rejects.toThrow(Unavailable);
    cut.end();
    expect((await kv.get('key'))?.value).toEqual(HELLO);
  });
});
