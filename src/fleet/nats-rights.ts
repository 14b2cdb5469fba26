import {
  actorBucket,
  type FleetBucket,
  fleetBucket,
  fleetBuckets,
  generationBucket,
  retentionBucket,
} from './buckets.js';
import { CHARTER_KEY } from './charter.js';
import { PROBE_KEY } from './store-check.js';
import { fleetSubjects, runtimeSubjects } from './subjects.js';

/** The subjects that each role of a fleet may publish and subscribe to on NATS; the cluster secret adds no rights to a role's credentials. */

/** `node`: a process that hosts actors, or a program that uses them. */
export type NatsRole = 'coordinator' | 'worker' | 'node';
export const NATS_ROLES: readonly NatsRole[] = ['coordinator', 'worker', 'node'];

/** Patterns of the subjects that a user of NATS may publish and subscribe to, and no others. */
export interface NatsRights {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** A user of a NATS server. Without rights it may do everything. */
export interface NatsUser {
  readonly user: string;
  readonly password: string;
  readonly rights: NatsRights | null;
}

/**
 * The inbox for the server's answers to a role's requests to its buckets. No role may publish there, and only the role itself may listen, so that
 * only the server can answer.
 */
export function natsInbox(namespace: string, role: NatsRole): string {
  return `_INBOX.${namespace}.${role}`;
}

/** One server, or perhaps a cluster, in which buckets get more copies when servers join. */
export type NatsServers = 'one' | 'cluster';

/** The rights that a role needs, in the fleet of this namespace only. */
export function natsRights(namespace: string, role: NatsRole, servers: NatsServers): NatsRights {
  const { announce, leave, refusal, hello, coordinator, suspicion, usage, audit } = fleetSubjects(namespace);
  const of = (...tokens: string[]) => [namespace, ...tokens].join('.');
  const [echo, holdings] = [of('echo', '*', '*'), of('holdings', '*')];
  const [lookup, proof] = [of('lookup', '*'), of('proof', '*', '*')];
  const inbox = of('node', '*', '*', 'in');
  const both = {
    publish: [refusal, hello, audit, echo, lookup, proof, inbox],
    subscribe: [
      ...[announce, leave, refusal, hello, audit, coordinator, echo, lookup, proof, inbox],
      of('node', '*', '*', 'absent', '*', '*'),
      `${natsInbox(namespace, role)}.>`,
    ],
  };
  const runtime = runtimeRights(namespace, role);
  if (role === 'node') return runtime;
  if (role === 'worker') {
    const charter = writing(fleetBucket(namespace), CHARTER_KEY);
    const counters = writing(generationBucket(namespace), '*');
    return {
      publish: [...new Set([announce, leave, holdings, ...both.publish, ...charter, ...counters, ...runtime.publish])],
      subscribe: [...new Set([...both.subscribe, ...runtime.subscribe])],
    };
  }
  // A coordinator hears the nodes of the runtime, to show them, but is not a node.
  const members = runtimeSubjects(namespace);
  const own = [fleetBucket(namespace), retentionBucket(namespace)];
  const tended = fleetBuckets(namespace).flatMap((bucket) => tending(bucket, servers));
  return {
    publish: [
      coordinator,
      suspicion,
      usage,
      ...both.publish,
      members.hello,
      ...new Set([...own.flatMap((bucket) => writing(bucket, '>')), ...tended]),
    ],
    subscribe: [suspicion, usage, holdings, ...both.subscribe, members.announce, members.leave],
  };
}

/** The rights of members of the runtime, which a worker that hosts actors needs too. */
function runtimeRights(namespace: string, role: NatsRole): NatsRights {
  const { announce, leave, hello } = runtimeSubjects(namespace);
  const of = (...tokens: string[]) => [namespace, ...tokens].join('.');
  const both = [announce, leave, hello, of('lookup', '*'), of('proof', '*', '*'), of('node', '*', '*', 'in')];
  // The charter, and the coordinators that live under it, tell a process that has another secret.
  const { coordinator } = fleetSubjects(namespace);
  return {
    publish: [...both, ...writing(actorBucket(namespace), '>'), ...reading(fleetBucket(namespace))],
    subscribe: [...both, coordinator, of('node', '*', '*', 'absent', '*', '*'), `${natsInbox(namespace, role)}.>`],
  };
}

/** The rights to read a bucket, and to write the values of keys that match a pattern. */
function writing(bucket: FleetBucket, keys: string): string[] {
  return [...reading(bucket), valueSubject(bucket, keys)];
}

/**
 * The rights of coordinators alone: to create a bucket, to erase values that no member has sealed, and to see whether it takes writes. A stream can be
 * told at its creation to republish its messages anywhere, with the server's rights, and a bucket that is reconfigured can be closed for good.
 */
function tending(bucket: FleetBucket, servers: NatsServers): string[] {
  const calls = servers === 'cluster' ? ['CREATE', 'MSG.DELETE', 'UPDATE'] : ['CREATE', 'MSG.DELETE'];
  return [...reading(bucket), ...calls.map((call) => streamCall(call, bucket)), valueSubject(bucket, PROBE_KEY)];
}

function reading(bucket: FleetBucket): string[] {
  return ['INFO', 'MSG.GET'].map((call) => streamCall(call, bucket));
}

function valueSubject({ name }: FleetBucket, keys: string): string {
  return `$KV.${name}.${keys}`;
}

function streamCall(call: string, { name }: FleetBucket): string {
  return `$JS.API.STREAM.${call}.KV_${name}`;
}
