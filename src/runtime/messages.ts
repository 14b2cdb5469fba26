import { z } from 'zod';
import { NodeAddress } from '../actors/envelope.js';
import { ask, defineProtocol, stream, tell } from '../actors/protocol.js';
import { ACTOR_NAME_CHARS } from '../limits.js';
import type { NodeView } from './core/node-view.js';
import { ObjectAddress } from './objects/object-ref.js';
import { WireThrown } from './values/error-value.js';

/** The messages between members of the runtime: announcements on the bus, and the protocols of their actors. */

/** Exports of one node, and methods of one class that return streams. */
export const NODE_EXPORTS = 256;
export const STREAM_METHODS = 64;
/** Exports that each node has of shoal's own, at most. */
const BUILT_IN_EXPORTS = 8;
/** Calls that wait for each other; a longer chain is refused. */
export const CHAIN_CALLS = 64;

/** A generator among the calls that wait for each other. No lane has this name. */
export const STREAM = 'stream';

const Name = z.string().min(1).max(ACTOR_NAME_CHARS);
const Count = z.int().min(0);
const Amounts = z.record(Name, z.number().min(0));

const Exported = z.strictObject({
  name: Name,
  kind: z.enum(['class', 'function']),
  version: Name,
  source: Name,
  streams: z.array(Name).max(STREAM_METHODS),
});

/** On `<fleet>.runtime.announce`. */
export const NodeAnnouncement: z.ZodType<NodeView> = z.strictObject({
  id: Name,
  incarnation: Name,
  kind: z.enum(['node', 'driver']),
  pid: Count,
  host: z.string().max(256),
  address: z
    .strictObject({
      hostId: Name,
      unixPath: z.string().max(256).nullable(),
      tcpHost: z.string().max(256).nullable(),
      tcpPort: z.int().min(1).max(65535).nullable(),
    })
    .nullable(),
  worker: Name.nullable(),
  exports: z.array(Exported).max(NODE_EXPORTS + BUILT_IN_EXPORTS),
  total: Amounts,
  free: Amounts,
  actors: Count,
  tasks: Count,
});

/** On `<fleet>.runtime.leave`. */
export const NodeLeave = z.strictObject({ incarnation: Name });

/** A packed value, or the object that holds its bytes. */
export const WireValue = z.union([
  z.strictObject({ plain: z.unknown(), tagged: z.boolean() }),
  z.strictObject({ object: ObjectAddress }),
]);
export type WireValue = z.infer<typeof WireValue>;

/** The end of a call: a value, or an error that the user's code threw. */
export const Outcome = z.union([
  z.strictObject({ type: z.literal('value'), value: WireValue }),
  z.strictObject({ type: z.literal('threw'), error: WireThrown }),
]);
export type Outcome = z.infer<typeof Outcome>;

/** The trace that accompanies each call of user code. */
const Trace = z.strictObject({
  /** The same for all attempts of one call. */
  id: Name,
  attempt: Count,
  /** Actors, by their lanes, whose methods wait for this call, outermost first; `STREAM` for a generator, which occupies no lane. */
  chain: z.array(Name).max(CHAIN_CALLS),
});
export type Trace = z.infer<typeof Trace>;

const MethodCall = z.strictObject({ method: Name, args: WireValue, trace: Trace });
export type MethodCall = z.infer<typeof MethodCall>;

/** An instance of a user's class. Its actor is named by `instanceActor`. */
export const InstanceProtocol = defineProtocol('shoal-instance', {
  call: ask(MethodCall, Outcome),
  send: tell(MethodCall),
  flow: stream(MethodCall, Outcome),
});

/** The name of the actor on its node that takes the calls of an instance, or of one of its concurrency groups. */
export function instanceActor(lane: string): string {
  return `instance-${lane}`;
}

/** Methods with their own limit; see `ActorOptions.concurrencyGroups`. */
export const ConcurrencyGroups = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[\w-]{1,32}$/, 'a name has 1 to 32 letters, digits, "_" or "-"'),
      max: z.int().min(1),
      methods: z.array(Name).max(64),
    }),
  )
  .max(16);
export type ConcurrencyGroups = z.infer<typeof ConcurrencyGroups>;

/** A name as a user gives it. */
export const ActorName = z.strictObject({ namespace: Name, name: Name });
export type ActorName = z.infer<typeof ActorName>;

/** `driver`: the actor ends with the process that created it. */
const Lifetime = z.enum(['driver', 'detached']);

/** Everything that it takes to create an instance, also again on another node. */
export const InstanceSpec = z.strictObject({
  id: Name,
  class: Name,
  version: Name,
  args: WireValue,
  /** Null for an actor without a name. */
  name: Name.nullable(),
  namespace: Name,
  lifetime: Lifetime,
  resources: Amounts,
  /** The bundle of a placement group that it takes them of; null for none. */
  bundle: Name.nullable(),
  maxRestarts: Count,
  maxConcurrency: z.int().min(1),
  concurrencyGroups: ConcurrencyGroups,
  maxPending: z.int().min(1),
  /** Calls between two checkpoints; null for none. */
  checkpointEvery: z.int().min(1).nullable(),
});
export type InstanceSpec = z.infer<typeof InstanceSpec>;

const TaskCall = z.strictObject({
  function: Name,
  version: Name,
  args: WireValue,
  resources: Amounts,
  bundle: Name.nullable(),
  /** Whether the result stays on the node as an object. */
  keep: z.boolean(),
  trace: Trace,
});
export type TaskCall = z.infer<typeof TaskCall>;

/** An instance that runs on a node, for lists. */
export const InstanceEntry = z.strictObject({
  id: Name,
  class: Name,
  version: Name,
  name: Name.nullable(),
  namespace: Name,
  lifetime: Lifetime,
  node: Name,
  restarts: Count,
  running: Count,
  /** Calls in its mailboxes. */
  waiting: Count,
  calls: Count,
  errors: Count,
  maxConcurrency: Count,
  /** Milliseconds since it was created, or created again. */
  ageMs: z.number(),
  /** Id of the process that created it; null for a detached actor. */
  owner: Name.nullable(),
  bundle: Name.nullable(),
  resources: Amounts,
});
export type InstanceEntry = z.infer<typeof InstanceEntry>;

export const TaskEntry = z.strictObject({
  id: Name,
  function: Name,
  node: Name,
  attempt: Count,
  runningMs: z.number(),
});
export type TaskEntry = z.infer<typeof TaskEntry>;

/** The objects that a node stores, their bytes in memory, and the objects of others that it has references to. */
const ObjectsEntry = z.strictObject({ node: Name, objects: Count, memoryBytes: Count, borrowed: Count });
export type ObjectsEntry = z.infer<typeof ObjectsEntry>;

/** A reserved bundle of a placement group. */
const BundleEntry = z.strictObject({
  id: Name,
  node: Name,
  resources: Amounts,
  /** Actors and tasks in it. */
  users: Count,
});
export type BundleEntry = z.infer<typeof BundleEntry>;

/** A line that an actor wrote to the console of its node. */
const LogLine = z.strictObject({
  /** Milliseconds since 1970, by the clock of the node. */
  timeMs: z.number(),
  node: Name,
  actor: Name,
  name: Name.nullable(),
  class: Name,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  text: z.string(),
});
export type LogLine = z.infer<typeof LogLine>;

/** Entries in one message. */
export const LISTED_AT_A_TIME = 256;

export const HOST_ACTOR = 'shoal-host';

/** A node, which hosts instances and runs tasks. It throws Overloaded where it has no room; the caller asks the next one. */
export const HostProtocol = defineProtocol('shoal-host', {
  /** `owner` is null for a detached actor; `from` is then the incarnation of the process that its record names. */
  create: ask(
    z.strictObject({
      spec: InstanceSpec,
      owner: NodeAddress.nullable(),
      epoch: Count,
      from: Name.nullable(),
      /** Its last checkpoint, in a list; null if it has none. That of a detached actor is in its record. */
      state: WireValue.nullable(),
    }),
    z.union([
      z.strictObject({ type: z.literal('created') }),
      /** A detached actor that another node has by now. */
      z.strictObject({ type: z.literal('elsewhere') }),
      z.strictObject({ type: z.literal('threw'), error: WireThrown }),
    ]),
  ),
  /** Ends an instance, unless it has been restarted more often than `epoch`; null for any. */
  kill: ask(
    z.strictObject({ id: Name, restart: z.boolean(), epoch: Count.nullable() }),
    z.strictObject({ known: z.boolean() }),
  ),
  /** Reserves resources for a bundle, until they are freed or the process of this incarnation is gone. */
  reserve: ask(
    z.strictObject({ bundle: Name, owner: Name, resources: Amounts }),
    z.strictObject({ reserved: z.boolean() }),
  ),
  /** Frees a bundle, and ends the actors in it. */
  unreserve: ask(z.strictObject({ bundle: Name }), z.strictObject({})),
  run: ask(TaskCall, Outcome),
  flow: stream(TaskCall, Outcome),
  bundles: stream(z.strictObject({}), z.array(BundleEntry).max(LISTED_AT_A_TIME)),
  objects: ask(z.strictObject({}), ObjectsEntry),
  /** Streams of lists, because a node may have more of them than fit into a message. */
  instances: stream(z.strictObject({}), z.array(InstanceEntry).max(LISTED_AT_A_TIME)),
  tasks: stream(z.strictObject({}), z.array(TaskEntry).max(LISTED_AT_A_TIME)),
  /** The console output of the actors of this name or id; with `follow`, also their later output. */
  logs: stream(z.strictObject({ actor: Name, follow: z.boolean() }), z.array(LogLine).max(LISTED_AT_A_TIME)),
});

export const OWNER_ACTOR = 'shoal-owner';

/** The current location of an actor; `dead` is final. */
export const Whereabouts = z.union([
  z.strictObject({ type: z.literal('at'), node: NodeAddress, epoch: Count }),
  z.strictObject({ type: z.literal('dead'), why: z.string().max(1024) }),
]);
export type Whereabouts = z.infer<typeof Whereabouts>;

/** The process that created an actor, and restarts it. */
export const OwnerProtocol = defineProtocol('shoal-owner', {
  /** Waits while the actor is being created or restarted. */
  locate: ask(z.strictObject({ id: Name }), Whereabouts),
  /** Keeps the newest state of an instance, in a list. False if the instance has been restarted elsewhere. */
  checkpoint: ask(
    z.strictObject({ id: Name, epoch: Count, sequence: Count, state: WireValue }),
    z.strictObject({ kept: z.boolean() }),
  ),
  /** An instance has ended on its node by a kill. */
  ended: tell(z.strictObject({ id: Name, epoch: Count, restart: z.boolean(), why: z.string().max(1024) })),
});
