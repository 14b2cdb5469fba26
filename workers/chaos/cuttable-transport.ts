import type { KeyValue, KeyValueEntry } from '../../src/bus/key-value.js';
import type { Transport } from '../../src/bus/transport.js';
import { Unavailable } from '../../src/errors.js';
import type { Cut } from './cut.js';
import { CuttableBus } from './cuttable-bus.js';

/** A transport that carries nothing while the worker is cut off. */
export function cuttableTransport(transport: Transport, cut: Cut): Transport {
  return {
    ...transport,
    bus: new CuttableBus(transport.bus, cut),
    openKeyValue: async (bucket, maxBytes) => {
      checkUncut(cut);
      return new CuttableKeyValue(await transport.openKeyValue(bucket, maxBytes), cut);
    },
  };
}

class CuttableKeyValue implements KeyValue {
  constructor(
    private readonly below: KeyValue,
    private readonly cut: Cut,
  ) {}

  async get(key: string): Promise<KeyValueEntry | null> {
    checkUncut(this.cut);
    return this.below.get(key);
  }

  async create(key: string, value: Uint8Array): Promise<boolean> {
    checkUncut(this.cut);
    return this.below.create(key, value);
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    checkUncut(this.cut);
    return this.below.update(key, value, revision);
  }

  async delete(key: string): Promise<void> {
    checkUncut(this.cut);
    await this.below.delete(key);
  }

  async withRoom<T>(bytes: number, write: () => Promise<T>): Promise<T> {
    checkUncut(this.cut);
    return this.below.withRoom?.(bytes, write) ?? write();
  }
}

function checkUncut(cut: Cut): void {
  if (cut.active) throw new Unavailable('cannot reach a bucket: this worker is cut off for a while, by an order');
}
