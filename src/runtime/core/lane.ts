import { InvalidRequest } from '../../errors.js';

/** The lanes of an actor: its calls wait and run in the lane of their method. Pure. */

interface Lanes {
  readonly id: string;
  readonly maxConcurrency: number;
  readonly concurrencyGroups: readonly LaneGroup[];
}

interface LaneGroup {
  readonly name: string;
  readonly max: number;
  readonly methods: readonly string[];
}

/** A lane, and how many of its calls run at a time. */
export interface Lane {
  readonly name: string;
  readonly max: number;
}

/** The lane of a method: its concurrency group's lane, else the actor's own. */
export function laneOf(actor: Lanes, method: string): Lane {
  const group = actor.concurrencyGroups.find(({ methods }) => methods.includes(method));
  return group ? laneOfGroup(actor.id, group) : { name: actor.id, max: actor.maxConcurrency };
}

/** All lanes of an actor. */
export function lanesOf(actor: Lanes): Lane[] {
  const own = { name: actor.id, max: actor.maxConcurrency };
  return [own, ...actor.concurrencyGroups.map((group) => laneOfGroup(actor.id, group))];
}

function laneOfGroup(id: string, { name, max }: LaneGroup): Lane {
  return { name: `${id}/${name}`, max };
}

/** A method may be made by the constructor, so this is checked after it. @throws InvalidRequest if a group names a method that the actor lacks */
export function requireGroupMethods(
  actor: object,
  spec: Pick<Lanes, 'concurrencyGroups'> & { readonly class: string },
): void {
  for (const { name, methods } of spec.concurrencyGroups) {
    const unknown = methods.find((method) => typeof (actor as Record<string, unknown>)[method] !== 'function');
    if (unknown === undefined) continue;
    const field = 'concurrencyGroups';
    throw new InvalidRequest(`${field}.${name}: ${spec.class} has no method ${unknown}`, field);
  }
}
