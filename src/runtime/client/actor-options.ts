import { parseByteSize } from '../../byte-size.js';
import { InvalidRequest } from '../../errors.js';
import { checkedResources, type Resources } from '../core/resources.js';
import type { UserClass } from '../library.js';
import { ConcurrencyGroups } from '../messages.js';
import type { ObjectRef } from '../objects/object-ref.js';
import type { Bundle } from './bundle.js';
import { count, list, oneOf, shown } from './checked.js';
import type { ActorHandle, Remote } from './handle-types.js';

/** The options of an actor or a task, with defaults and bounds. */

/** Resources of a demand. `memory` may be a text such as `2GiB`. */
export type WantedResources = Readonly<Record<string, number | string>>;

/** Where an actor or task runs best. A preference: where there is no room, it runs elsewhere. */
export type NearOption =
  | { readonly actor: ActorHandle<never> | ActorHandle<object> }
  | { readonly ref: ObjectRef<unknown> }
  /** Where most of the K/V of a prompt is that begins so: on a node in the process of that worker (`shoal worker --actors`). */
  | { readonly prefix: string }
  | { readonly node: string }
  | { readonly worker: string };

interface PlaceOptions {
  /** Default for a task of a driver: one `cpu`. Default for actors, and for tasks that an actor or task starts: nothing. */
  readonly resources?: WantedResources;
  readonly near?: NearOption;
  /** Among equally near nodes: the emptiest (`spread`, default), or the fullest that has room. */
  readonly fill?: 'spread' | 'pack';
  /** A bundle of a placement group (`group.bundles[0]`): the code runs on its node, and uses the resources reserved there. */
  readonly bundle?: Bundle;
  /** The version of the code, if the fleet has several. Default: the version of this program's own source text. */
  readonly version?: string;
  /** How often a call is repeated after its node was lost. Default 0: a call runs at most once. With more, it may run more than once. */
  readonly maxTaskRetries?: number;
}

export interface TaskOptions extends PlaceOptions {
  readonly signal?: AbortSignal;
  /** Time for the task with all attempts, and the wait for room. */
  readonly timeoutMs?: number;
  /** `ref`: the result stays on its node, and the caller gets a reference to it. With `maxTaskRetries`, a result that is lost is computed again. */
  readonly returns?: 'value' | 'ref';
}

export interface ActorOptions<Args extends readonly unknown[] = readonly unknown[], Method extends string = string>
  extends PlaceOptions {
  /** Arguments of the constructor. */
  readonly args?: Args;
  /** Unique in its namespace. */
  readonly name?: string;
  /** Default: `default`. */
  readonly namespace?: string;
  /** With a name: takes the actor that has it, instead of failing. */
  readonly getIfExists?: boolean;
  /**
   * `driver`, the default: the actor ends with the process that created it. `detached`: it is recorded under its name, outlives that process, and is
   * created again on another node when its own is gone.
   */
  readonly lifetime?: 'driver' | 'detached';
  /**
   * How often the actor is created again, with the same arguments, after its node was lost or it was killed with `restart`. Default: 0; of
   * detached actors, without limit.
   */
  readonly maxRestarts?: number;
  /**
   * After so many calls, and before the last of them is answered, the result of the actor's `save()` is stored elsewhere. When the actor is created
   * again, its `restore(state)` gets the newest. Default: never.
   */
  readonly checkpointEvery?: number;
  /** Calls that run at a time; others wait in order. Default: 1. */
  readonly maxConcurrency?: number;
  /**
   * Methods with their own limit and queue: `{ reads: { max: 8, methods: ['get', 'list'] } }`. They run concurrently with the other methods, to which
   * `maxConcurrency` applies.
   */
  readonly concurrencyGroups?: Readonly<Record<string, ConcurrencyGroup<Method>>>;
  /** Calls of each group that may wait. Further calls fail with Overloaded. Default: 1,024. */
  readonly maxPending?: number;
  /** Time in which the actor must be there: it may wait for room. Of a detached actor, the time to wait for room. Default: without limit. */
  readonly timeoutMs?: number;
  /** Ends the wait, with the actor if its constructor runs already. */
  readonly signal?: AbortSignal;
}

/** Calls of these methods, at most `max` at a time. */
export interface ConcurrencyGroup<Method extends string = string> {
  readonly max: number;
  readonly methods: readonly Method[];
}

/** The options of an actor of a class: they must have `args` if its constructor does. */
export type CreationOptions<C extends UserClass> =
  [] extends ConstructorParameters<C> ? [options?: OptionsOf<C>] : [options: OptionsOf<C> & { readonly args: unknown }];

type OptionsOf<C extends UserClass> = ActorOptions<ConstructorParameters<C>, keyof Remote<InstanceType<C>> & string>;

const RESTARTS = 1_000_000;
const CONCURRENCY = 8_192;
const DEFAULT_PENDING = 1_024;

/** @throws InvalidRequest */
export function lifetimeOf({ lifetime }: Pick<ActorOptions, 'lifetime'>): 'driver' | 'detached' {
  return oneOf('lifetime', lifetime, 'driver', ['driver', 'detached']);
}

/** The bounds of an actor. @throws InvalidRequest */
export function actorBounds(options: Omit<ActorOptions, 'args'>) {
  return {
    maxRestarts: count('maxRestarts', options.maxRestarts, options.lifetime === 'detached' ? RESTARTS : 0, 0, RESTARTS),
    maxConcurrency: count('maxConcurrency', options.maxConcurrency, 1, 1, CONCURRENCY),
    concurrencyGroups: concurrencyGroups(options.concurrencyGroups ?? {}),
    maxPending: count('maxPending', options.maxPending, DEFAULT_PENDING, 1, CONCURRENCY),
    checkpointEvery:
      options.checkpointEvery === undefined
        ? null
        : count('checkpointEvery', options.checkpointEvery, 1, 1, Number.MAX_SAFE_INTEGER),
  };
}

function concurrencyGroups(groups: Readonly<Record<string, ConcurrencyGroup>>): ConcurrencyGroups {
  const field = 'concurrencyGroups';
  const seen = new Set<string>();
  const listed = Object.entries(groups).map(([name, { max, methods }]) => {
    for (const method of list(`${field}.${name}.methods`, methods)) {
      if (seen.has(method)) throw new InvalidRequest(`${field}: ${method} is in several groups; one is allowed`, field);
      seen.add(method);
    }
    return { name, max: count(`${field}.${name}.max`, max, 1, 1, CONCURRENCY), methods: [...methods] };
  });
  const parsed = ConcurrencyGroups.safeParse(listed);
  if (parsed.success) return parsed.data;
  throw new InvalidRequest(`${field}: ${parsed.error.issues[0]?.message}`, field);
}

/** @throws InvalidRequest */
export function taskRetries({ maxTaskRetries }: { readonly maxTaskRetries?: number | undefined }): number {
  return count('maxTaskRetries', maxTaskRetries, 0, 0, RESTARTS);
}

/** @throws InvalidRequest */
export function demandedResources(wanted: WantedResources): Resources {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted))
    throw new InvalidRequest(`resources: must be an object such as { cpu: 1 }, got ${shown(wanted)}`, 'resources');
  const amounts = Object.entries(wanted).map(([name, amount]) => {
    if (typeof amount === 'number') return [name, amount] as const;
    const bytes = typeof amount === 'string' ? parseByteSize(amount) : null;
    if (bytes !== null) return [name, bytes] as const;
    throw new InvalidRequest(`resources.${name}: must be a number, or a size such as 2GiB, got ${shown(amount)}`);
  });
  return checkedResources('resources', Object.fromEntries(amounts));
}
