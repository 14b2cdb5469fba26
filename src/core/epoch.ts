import { hash } from 'node:crypto';

/** The epoch: a hash of the member list, equal wherever the ring is. */

/** A worker with a place on the ring. */
export interface RingMember {
  readonly id: string;
  readonly incarnation: string;
  /** Bytes of memory for blocks; its share of the ring. */
  readonly weight: number;
}

/** Names a member list, whatever its order: 12 hex digits. Equal where two processes have the same ring. */
export function epochOf(members: readonly RingMember[]): string {
  const sorted = members.map((m) => [m.id, m.incarnation, m.weight] as const).sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return hash('sha256', JSON.stringify(sorted), 'hex').slice(0, 12);
}
