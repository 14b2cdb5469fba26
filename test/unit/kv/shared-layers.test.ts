import { readdirSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HttpServer } from '../../../coordinator/http/server.js';
import { SimulatedClock } from '../../../src/clock.js';
import { hostId } from '../../../src/fleet/identity.js';
import { KVClient } from '../../../src/kv/kv-client.js';
import type { KVLayer } from '../../../src/kv/kv-tensor.js';
import { MarkReader } from '../../../src/kv/mark-reader.js';
import { copyShared, type OpenShared } from '../../../src/kv/shared-layers.js';
import { mapSharedFile } from '../../../src/native/shared-file.js';
import { ObjectValue } from '../../../src/objects/object-value.js';
import { SystemRandom } from '../../../src/random.js';
import { ValueSharing } from '../../../workers/objects/value-sharing.js';
import { RespStation } from '../resp/support/resp-station.js';
import { kvServer } from './support.js';

const MiB = 2 ** 20;

function layerOf(byte: number, bytes: number): KVLayer {
  const tensor = { dtype: 'uint8', shape: [bytes], bytes: Buffer.alloc(bytes, byte) };
  return { k: tensor, v: tensor };
}

/** Files in memory that this process has open. */
const files = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:shoal-object-');
    } catch {
      return false;
    }
  }).length;

describe.runIf(process.platform === 'linux')('layers in the shared memory of a worker on the same host', () => {
  let station: RespStation;
  let server: HttpServer;
  let opened: number;
  const clients: KVClient[] = [];

  const client = (open: OpenShared | null) => {
    const counted: OpenShared = (place, bytes) => {
      opened++;
      return open!(place, bytes);
    };
    const kv = new KVClient(server.url, { model: 'm' }, open === null ? () => null : counted);
    clients.push(kv);
    return kv;
  };
  const expectLayer = (layer: KVLayer | null, byte: number, bytes: number) => {
    for (const tensor of [layer!.k, layer!.v]) expect(Buffer.alloc(bytes, byte).equals(tensor.bytes)).toBe(true);
  };

  beforeEach(async () => {
    opened = 0;
    station = await RespStation.open({ sharing: new ValueSharing(hostId(), new SystemRandom()) });
    server = await kvServer(station);
  });

  afterEach(async () => {
    for (const kv of clients.splice(0)) kv.close();
    await server.close();
    await station.close();
    expect(files()).toBe(0);
  });

  it.each([
    ['mapped', mapSharedFile],
    ['copied', copyShared],
  ])('are %s, and stay as they were while others replace or delete them', async (_, open) => {
    const kv = client(open);
    await kv.put('p', 0, layerOf(1, 3 * MiB + 7));
    const before = station.objects.store.bytes;
    const first = await kv.get('p', 0);
    expectLayer(first, 1, 3 * MiB + 7);
    expect([opened, files()]).toEqual([1, 1]);
    expect(station.objects.store.bytes).toBe(before);
    await kv.put('p', 0, layerOf(2, 2 * MiB));
    expectLayer(await kv.get('p', 0), 2, 2 * MiB);
    expect(files()).toBe(1);
    expectLayer(first, 1, 3 * MiB + 7);
    await kv.delete('p', 0);
    expect(files()).toBe(0);
    expect(await kv.get('p', 0)).toBeNull();
    expectLayer(first, 1, 3 * MiB + 7);
  });

  it('are read without a question while their worker says that they are the newest', async () => {
    const asked = vi.spyOn(station.objects.home, 'share');
    const [kv, other] = [client(mapSharedFile), client(copyShared)];
    await kv.put('p', 0, layerOf(1, MiB));
    for (let i = 0; i < 5; i++) expectLayer(await kv.get('p', 0), 1, MiB);
    expect(asked).toHaveBeenCalledTimes(1);
    await other.put('p', 0, layerOf(2, MiB));
    expectLayer(await kv.get('p', 0), 2, MiB);
    expectLayer(await kv.get('p', 0), 2, MiB);
    expect(asked).toHaveBeenCalledTimes(2);
    // Others may have gone on without this worker.
    station.objects.wasCutOff();
    expectLayer(await kv.get('p', 0), 2, MiB);
    expect(asked).toHaveBeenCalledTimes(3);
    await other.delete('p', 0);
    expect(await kv.get('p', 0)).toBeNull();
  });

  it('are asked for again once their worker does not beat any more', async () => {
    const clock = new SimulatedClock();
    const sharing = new ValueSharing(hostId(), new SystemRandom());
    const [value, reader] = [ObjectValue.of(Buffer.alloc(MiB)), new MarkReader()];
    sharing.start(clock);
    const mark = sharing.mark(value)!;
    expect(reader.holds(process.pid, mark)).toBe(true);
    const now = vi.spyOn(process.hrtime, 'bigint');
    now.mockReturnValue(process.hrtime.bigint() + 2_000_000_000n);
    expect(reader.holds(process.pid, mark)).toBe(false);
    await clock.advance(100);
    expect(reader.holds(process.pid, mark)).toBe(true);
    sharing.clear(value);
    expect(reader.holds(process.pid, mark)).toBe(false);
    expect(reader.holds(process.pid, sharing.mark(value)!)).toBe(true);
    now.mockRestore();
    reader.close();
    sharing.stop();
    value.release();
  });

  it('are sent to others as before, from the memory that they are in now', async () => {
    await client(mapSharedFile).put('p', 0, layerOf(1, 2 * MiB));
    await client(mapSharedFile).get('p', 0);
    const elsewhere = client(null);
    expectLayer(await elsewhere.get('p', 0), 1, 2 * MiB);
    expect(files()).toBe(1);
  });

  it('come over the connection where this process cannot read them, which it soon does not try any more', async () => {
    const kv = client(() => null);
    await kv.put('p', 0, layerOf(1, MiB));
    for (let i = 0; i < 5; i++) expectLayer(await kv.get('p', 0), 1, MiB);
    expect(opened).toBe(3);
  });

  it('are not for small ones, and are mapped once by those who read the same version', async () => {
    const kv = client(mapSharedFile);
    await kv.put('small', 0, layerOf(1, 1_000));
    expectLayer(await kv.get('small', 0), 1, 1_000);
    expect(opened).toBe(0);
    await kv.put('large', 0, layerOf(2, MiB));
    const held = [await kv.get('large', 0), await kv.get('large', 0)];
    expect(opened).toBe(1);
    for (const layer of held) expectLayer(layer, 2, MiB);
  });
});
