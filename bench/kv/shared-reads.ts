import type { KVLayer } from '../../src/kv/kv-tensor.js';
import { MappingKVClient } from '../../src/kv/mapping-kv-client.js';
import { type ReportRow, reportRow } from '../report.js';

/** Layers that `KVClient` reads in the shared memory of the worker: again and again, and each for the first time. */

const MiB = 2 ** 20;
/** The sizes of layers. */
export const LAYER_SIZES = [MiB, 4 * MiB, 16 * MiB] as const;
type LayerSize = (typeof LAYER_SIZES)[number];
const AGAIN = 2_000;
/** Layers that are read once, by a client that has not read them before. */
const FIRST_LAYERS = 16;
const FIRST_BYTES: LayerSize = 4 * MiB;

const now = () => performance.now();

export class SharedReads {
  /** GB/s of each round. */
  readonly again = new Map<LayerSize, number[]>(LAYER_SIZES.map((bytes) => [bytes, []]));
  private readonly first: number[] = [];
  private readonly client: MappingKVClient;

  private constructor(private readonly url: string) {
    this.client = new MappingKVClient(url, { model: 'bench' });
  }

  static async open(url: string): Promise<SharedReads> {
    const reads = new SharedReads(url);
    for (const bytes of LAYER_SIZES) await reads.client.put(`again ${bytes}`, 0, layerOf(bytes));
    for (let i = 0; i < FIRST_LAYERS; i++) await reads.client.put('first', i, layerOf(FIRST_BYTES));
    return reads;
  }

  /** @param round negative for one that does not count */
  async measure(round: number): Promise<void> {
    for (const [bytes, samples] of this.again) {
      const speed = await this.speed(bytes, AGAIN, () => this.client.get(`again ${bytes}`, 0));
      if (round >= 0) samples.push(speed);
    }
    const fresh = new MappingKVClient(this.url, { model: 'bench' });
    let layer = 0;
    const speed = await this.speed(FIRST_BYTES, FIRST_LAYERS, () => fresh.get('first', layer++));
    fresh.close();
    if (round >= 0) this.first.push(speed);
  }

  rows(): ReportRow[] {
    const rows = [...this.again].map(([bytes, samples]) =>
      reportRow(`KVClient get of a layer of ${bytes / MiB} MiB: shoal`, 'GB/s', samples),
    );
    return [...rows, reportRow(`KVClient first get of a layer of ${FIRST_BYTES / MiB} MiB: shoal`, 'GB/s', this.first)];
  }

  close(): void {
    this.client.close();
  }

  private async speed(bytes: number, times: number, get: () => Promise<KVLayer | null>): Promise<number> {
    const startMs = now();
    let sum = 0;
    for (let i = 0; i < times; i++) {
      const layer = await get();
      // The bytes are there to be read.
      sum += layer!.v.bytes[bytes / 2 - 1]!;
    }
    if (sum === 0) throw new Error('a layer has wrong bytes');
    return (bytes * times) / 1e6 / (now() - startMs);
  }
}

function layerOf(bytes: number): KVLayer {
  const tensor = { dtype: 'float16', shape: [1, 8, bytes / 4 / 8 / 128, 128], bytes: Buffer.alloc(bytes / 2, 'kv') };
  return { k: tensor, v: tensor };
}
