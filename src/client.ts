/**
 * The entry `shoal/client` of the package: the client for K/V alone, which loads no native library. Everything in it is in `shoal` as well.
 */

export type { Clock, Timer } from './clock.js';
export { Corrupt, InvalidRequest, Overloaded, Refused, ShoalError, Unavailable } from './errors.js';
export type { KVCast, KVCompression, KVEncoding } from './kv/encoding/tensor-encoding.js';
export type { EngineHolding, EngineKV, EngineKVOptions } from './kv/engine-kv.js';
export { KVClient } from './kv/kv-client.js';
export type { KVClientOptions } from './kv/kv-client-options.js';
export type { KVClientStats, KVHealth, KVMemory } from './kv/kv-client-report.js';
export type { KVLayer, KVTensor } from './kv/kv-tensor.js';
export type { KVPrefix } from './kv/prefix-hash.js';
