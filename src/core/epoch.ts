import { hash } from 'node:crypto';

/** The epoch: a hash of the workers on the ring. */

/** A worker with a place on the ring. */
export interface RingMember {
  readonly id: string;
  readonly incarnation: string;
  /** Bytes of memory for blocks; the worker's share of the ring is in proportion. */
  readonly weight: number;
}

/** Hashes a member list, in any order, to 12 hex digits. Processes with the same ring have the same epoch. */
export function epochOf(members: readonly RingMember[]): string {
  const sorted = members.map((m) => [m.id, m.incarnation, m.weight] as const).sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return hash('sha256', JSON.stringify(sorted), 'hex').slice(0, 12);
}
