import type { Clock } from '../clock.js';
import type { Random } from '../random.js';
import type { KeyValue, KeyValueEntry } from './key-value.js';
import { MessageOpener, type MessageRejection, MessageSealer, SEAL_SALT_BYTES, type Sender } from './seal.js';
import { SealedBus } from './sealed-bus.js';
import type { IsKept, Transport } from './transport.js';

/** A transport whose messages and values only members of the fleet can read or write. */

export interface SealedTransportOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly secret: string;
  readonly self: Sender;
  readonly namespace: string;
  /** A message was dropped; see `SealedBusOptions`. */
  readonly onDropped?: (reason: MessageRejection, subject: string) => void;
}

/** Seals everything that goes over a transport. */
export function sealTransport(transport: Transport, options: SealedTransportOptions): Transport {
  let forged = 0;
  const bus = new SealedBus({
    ...options,
    bus: transport.bus,
    onDropped: (reason, subject) => {
      if (reason === 'forged') forged++;
      options.onDropped?.(reason, subject);
    },
  });
  const { secret, self, random } = options;
  const sealer = new MessageSealer(secret, self, random.bytes(SEAL_SALT_BYTES), 'values');
  const opener = new MessageOpener(secret, SEALERS_KEPT, 'values');
  return {
    bus,
    openKeyValue: async (bucket, limits) =>
      new SealedKeyValue(await transport.openKeyValue(bucket, limits), bucket, sealer, opener),
    ...tending(transport, opener),
    storeFault: () => transport.storeFault?.() ?? null,
    strangerMessages: () => forged,
  };
}

/** Keeps only values that a member has sealed. */
function tending(transport: Transport, opener: MessageOpener): Pick<Transport, 'tendBucket'> {
  if (transport.tendBucket === undefined) return {};
  return {
    tendBucket: (bucket, limits, sweeping, isKept = () => true) => {
      const isSealed: IsKept = (key, sealed) => {
        const value = opened(opener, bucket, key, sealed);
        return value !== null && isKept(key, value);
      };
      return transport.tendBucket!(bucket, limits, sweeping, isSealed);
    },
  };
}

/** The value that a member has sealed; null if none has. */
function opened(opener: MessageOpener, bucket: string, key: string, sealed: Uint8Array): Uint8Array | null {
  const envelope = MessageOpener.peek(sealed);
  return envelope && opener.open(envelope, bucket, key, sealed);
}

/** Values that other members may have sealed long ago, and whose senders may be gone. */
const SEALERS_KEPT = 16;
/** The value in place of one that no member has sealed. */
const UNREADABLE = new Uint8Array(0);

/** Seals the values of a bucket, each bound to its bucket and key. A value that no member has sealed reads as empty. */
class SealedKeyValue implements KeyValue {
  constructor(
    private readonly below: KeyValue,
    private readonly bucket: string,
    private readonly sealer: MessageSealer,
    private readonly opener: MessageOpener,
  ) {}

  async get(key: string): Promise<KeyValueEntry | null> {
    const entry = await this.below.get(key);
    return entry && { ...entry, value: opened(this.opener, this.bucket, key, entry.value) ?? UNREADABLE };
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    return this.below.create(key, this.seal(key, value));
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return this.below.update(key, this.seal(key, value), revision);
  }

  delete(key: string): Promise<void> {
    return this.below.delete(key);
  }

  withRoom<T>(bytes: number, write: () => Promise<T>): Promise<T> {
    return this.below.withRoom?.(bytes, write) ?? write();
  }

  private seal(key: string, value: Uint8Array): Uint8Array {
    return this.sealer.seal(this.bucket, key, value);
  }
}
