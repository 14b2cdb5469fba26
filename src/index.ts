/** The public API of the package `shoal`. Everything that is not exported here is internal. */

// Actors: typed references, mailboxes, streams, deadlines and supervision.

export type { ActorAddress } from './actors/envelope.js';
export type { ActorEvent, ObserveActors } from './actors/event.js';
export type { CallLink, CallLinks, LinkListener } from './actors/links.js';
export type { CallOptions } from './actors/outgoing-call.js';
export {
  type AskMethod,
  ask,
  type Behavior,
  type Call,
  defineProtocol,
  type Methods,
  type Protocol,
  type StreamMethod,
  stream,
  type TellMethod,
  tell,
} from './actors/protocol.js';
export { ActorRef } from './actors/ref.js';
export { DEFAULT_RESTART_POLICY, type RestartPolicy } from './actors/restart-policy.js';
export type { SpawnOptions } from './actors/spawn-options.js';
export { type ActorContext, ActorSystem, type ActorSystemOptions } from './actors/system.js';

// The runtime for users' code: actors and tasks on the nodes of a fleet (docs/ACTORS.md).

export type {
  ActorOptions,
  ConcurrencyGroup,
  NearOption,
  TaskOptions,
  WantedResources,
} from './runtime/client/actor-options.js';
export { ActorPool } from './runtime/client/actor-pool.js';
export type { Bundle } from './runtime/client/bundle.js';
export type { FleetClient, MapOptions, QueueOptions } from './runtime/client/fleet-client.js';
export type { ActorHandle, RefFunction, Remote, RemoteFunction } from './runtime/client/handle-types.js';
export type { GroupOptions, PlacementGroup } from './runtime/client/placement-groups.js';
export type { Waited, WaitOptions } from './runtime/client/wait.js';
export { type ConnectOptions, connect } from './runtime/connect.js';
export { type CurrentCall, current } from './runtime/context.js';
export type { GroupStrategy } from './runtime/core/group-plan.js';
export type { NodeView } from './runtime/core/node-view.js';
export { ActorDied, CallCircle, ObjectLost, RemoteError, TaskLost } from './runtime/errors.js';
export type { BoundedQueue } from './runtime/host/bounded-queue.js';
export { ObjectRef } from './runtime/objects/object-ref.js';
export { AffinityPool, type AffinityPoolOptions } from './runtime/serving/affinity-pool.js';
export { type BatchOptions, batched } from './runtime/serving/batched.js';
export { type Ingress, type IngressOptions, serveActor } from './runtime/serving/http-ingress.js';

// K/V of prompt prefixes in a fleet, for programs of any kind (docs/KV.md).

export type { KVCast, KVCompression, KVEncoding } from './kv/encoding/tensor-encoding.js';
export type { EngineHolding, EngineKV, EngineKVOptions } from './kv/engine-kv.js';
export type { KVClientOptions } from './kv/kv-client-options.js';
export type { KVClientStats, KVHealth, KVMemory } from './kv/kv-client-report.js';
export type { KVLayer, KVTensor } from './kv/kv-tensor.js';
export { MappingKVClient as KVClient } from './kv/mapping-kv-client.js';
export type { KVPrefix } from './kv/prefix-hash.js';

// Buses between nodes: NATS, and a bus in memory.

export type { Bus, BusMessage, BusStatus, Subscription } from './bus/bus.js';
export { MemoryBroker, type MemoryBrokerOptions, MemoryBus } from './bus/memory-bus.js';
export type { NatsBus } from './bus/nats-bus.js';
export { connectNats } from './bus/nats-connect.js';
export type { NatsOptions } from './bus/nats-options.js';
export { SealedBus, type SealedBusOptions } from './bus/sealed-bus.js';

// Ports for time and randomness, each with the machine's implementation and one that a test controls.

export { type Clock, SimulatedClock, SystemClock, type Timer } from './clock.js';
export { type Random, SeededRandom, SystemRandom } from './random.js';

// Errors: one class for each reaction of a caller.

export {
  Cancelled,
  Corrupt,
  DeadlineExceeded,
  type ErrorCode,
  InternalError,
  InvalidRequest,
  NoSuchActor,
  Overloaded,
  Refused,
  RunFailed,
  ShoalError,
  Unavailable,
} from './errors.js';

// Keys of blocks (docs/KEYS.md), and the ring that maps them to workers.

export type { BlockDigest, BlockKey, BlockMeta, PinnedBlock, SealedBlock } from './core/block.js';
export type { RingMember } from './core/epoch.js';
export { blockKeys, type KeyRoot, type KeySeed, nextBlockKey, packKeys, rootSeed, unpackKeys } from './core/key.js';
export type { NoReservation, Reservation } from './core/reservation.js';
export { Ring } from './ring/ring.js';

// ONNX Runtime through its C API. The creator of a handle has to release it.

export type { Binding } from './ort/binding.js';
export type { ElementType } from './ort/element-type.js';
export { NativeMemory } from './ort/memory.js';
export { OrtError, type OrtErrorCode } from './ort/ort-error.js';
export { RunOptions } from './ort/run-options.js';
export { OrtRuntime, type RuntimeOptions } from './ort/runtime.js';
export { Session, type TensorInfo } from './ort/session.js';
export type { SessionOptions } from './ort/session-options.js';
export { Value } from './ort/value.js';

// Devices, and the memory in which they keep K/V.

export { blockBytes, type KvElementType, type KvLayout, tokenBytes } from './core/kv-layout.js';
export { CpuDevice, type CpuDeviceOptions } from './device/cpu/cpu-device.js';
export type { Device, DeviceBlock, DeviceMemory, KvSlot } from './device/device.js';

// Models, and the engine that runs them on a device.

export { Engine, type EngineOptions, type EngineStats } from './engine/engine.js';
export { type GraphOptions, loadModelGraph, type ModelGraph } from './engine/model-graph.js';
export type { PrefixCache, PrefixRequest, PreparedPrefix } from './engine/prefix-cache.js';
export { modelFingerprint } from './model/fingerprint.js';
export { type ModelFolder, type ModelFolderOptions, openModelFolder } from './model/folder.js';
export type { Dtype, GraphWish } from './model/graph-choice.js';
export { Tokenizer } from './model/tokenizer.js';
export {
  type GenerateEvent,
  type GenerateRequest,
  packTokens,
  type Sampling,
  type Stopping,
  unpackTokens,
} from './protocol/generate.js';

// Direct connections between members, for calls and for blocks (docs/PEER-PROTOCOL.md).

export type { PeerAddress } from './core/member.js';
export { PeerCallLinks, type PeerCallLinksOptions } from './peer/calls/peer-call-links.js';
export type { Fetched, FetchReservation, FetchSink } from './peer/client/fetch-exchange.js';
export { type FetchOutcome, PeerClient, type PeerClientOptions, type PeerTarget } from './peer/client/peer-client.js';
export type { PeerObserver } from './peer/observer.js';
export type { BlockHost } from './peer/server/block-host.js';
export {
  type ListenOptions,
  type PeerAddresses,
  PeerServer,
  type PeerServerOptions,
} from './peer/server/peer-server.js';
export type { PeerIdentity } from './peer/wire/handshake.js';
