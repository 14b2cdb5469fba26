import type { Clock } from '../clock.js';
import type { KVEncoding } from './encoding/tensor-encoding.js';

/** The options of a client for K/V. */
export interface KVClientOptions {
  /** Everything that the bytes depend on besides the prefix: the model, its revision, the dtype, the adapter, the rank. */
  readonly model: string;
  /** A key of the fleet's HTTP API, where keys are in use. */
  readonly apiKey?: string;
  /** The secret of the cluster (`SHOAL_SECRET`), for members that write K/V into the cache of the fleet's engine. */
  readonly secret?: string;
  /** The encoding of stored layers. Default: none. Layers can be read in any encoding. */
  readonly encoding?: KVEncoding;
  /** Limit on the bytes of a layer that is read, once it is decoded. Default: 1 GiB. */
  readonly layerBytes?: number;
  /** Memory of this process for layers that are prefetched or pinned. Default: 256 MiB. */
  readonly localBytes?: number;
  /** Seconds until a layer expires. Default: never. */
  readonly ttlS?: number;
  /** Seconds for which a client that computes a layer keeps others from it. Default: 30. */
  readonly leaseS?: number;
  /** Seconds for one request to the fleet, its answer included. After that the fleet counts as out of reach. Default: 30. */
  readonly requestS?: number;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
}
