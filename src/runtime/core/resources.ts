import { InvalidRequest } from '../../errors.js';

/** Amounts of named resources: processors, GPUs, bytes of memory, and any others that a node offers. Pure. */

export type Resources = Readonly<Record<string, number>>;

/** Limit on the different resources of a node or of a demand. */
const RESOURCE_NAMES = 32;
/** Amounts are compared and kept in whole steps of this size, so that thirds given back add up again. */
const STEPS_PER_UNIT = 10_000;
/** The name of the resource that is given as ids. */
export const GPU = 'gpu';
const RESOURCE_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** Whether `free` covers every resource of `demand`. */
export function fits(demand: Resources, free: Resources): boolean {
  return Object.entries(demand).every(([name, amount]) => amount <= amountOf(free, name));
}

export function amountOf(resources: Resources, name: string): number {
  return Object.hasOwn(resources, name) ? resources[name]! : 0;
}

export function plus(resources: Resources, more: Resources): Resources {
  const sum: Record<string, number> = { ...resources };
  for (const [name, amount] of Object.entries(more)) sum[name] = rounded(amountOf(resources, name) + amount);
  return sum;
}

export function minus(resources: Resources, less: Resources): Resources {
  return plus(resources, Object.fromEntries(Object.entries(less).map(([name, amount]) => [name, -amount])));
}

/** The largest share of a resource that is in use, 0 to 1: 0 where nothing is offered. */
export function usedShare(total: Resources, free: Resources): number {
  const shares = Object.entries(total).map(([name, amount]) => (amount > 0 ? 1 - amountOf(free, name) / amount : 0));
  return Math.max(0, ...shares);
}

/**
 * Checks a user's amounts, and omits zeros. `field` names the amounts in the error.
 * @throws InvalidRequest
 */
export function checkedResources(field: string, amounts: Readonly<Record<string, number>>): Resources {
  const entries = Object.entries(amounts);
  if (entries.length > RESOURCE_NAMES) {
    throw new InvalidRequest(`${field}: has ${entries.length} resources; at most ${RESOURCE_NAMES} are allowed`, field);
  }
  for (const [name, amount] of entries) {
    if (!RESOURCE_NAME.test(name)) {
      const allowed = 'a name has 1 to 64 letters, digits, "-" or "_", and begins with a letter';
      throw new InvalidRequest(`${field}: ${JSON.stringify(name)} cannot be the name of a resource; ${allowed}`, field);
    }
    if (!(amount >= 0 && amount <= Number.MAX_SAFE_INTEGER)) {
      throw new InvalidRequest(`${field}.${name}: must be a number from 0 to 2^53, got ${amount}`, field);
    }
    if (amount > 0 && rounded(amount) === 0) {
      throw new InvalidRequest(`${field}.${name}: must be 0, or at least ${1 / STEPS_PER_UNIT}, got ${amount}`, field);
    }
    if (name === GPU && amount > 1 && !Number.isInteger(amount)) {
      const allowed = 'must be a share of one GPU up to 1, or a whole number of GPUs';
      throw new InvalidRequest(`${field}.${name}: ${allowed}, got ${amount}`, field);
    }
  }
  return Object.fromEntries(
    entries.filter(([, amount]) => amount > 0).map(([name, amount]) => [name, rounded(amount)]),
  );
}

export function describeResources(resources: Resources): string {
  const entries = Object.entries(resources);
  return entries.length === 0 ? 'nothing' : entries.map(([name, amount]) => `${name} ${amount}`).join(', ');
}

function rounded(amount: number): number {
  return Number.isSafeInteger(amount) ? amount : Math.round(amount * STEPS_PER_UNIT) / STEPS_PER_UNIT;
}
