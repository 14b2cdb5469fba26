import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { SimulatedClock } from '../../../src/clock.js';
import { LEASE_VALID_MS } from '../../../src/runtime/core/lease.js';
import { ActorRecords } from '../../../src/runtime/detached/actor-records.js';
import { LeaseKeeper } from '../../../src/runtime/detached/lease-keeper.js';
import type { RuntimeMember } from '../../../src/runtime/member/member.js';

const INCARNATION = 'node-1';

let clock: SimulatedClock;
let records: ActorRecords;
let fenced: number;
let lease: LeaseKeeper;

beforeEach(async () => {
  clock = new SimulatedClock();
  const store = new MemoryKeyValue();
  records = new ActorRecords(async () => store);
  fenced = 0;
  const member = { self: { node: 'node', incarnation: INCARNATION }, options: { clock } };
  lease = new LeaseKeeper(member as unknown as RuntimeMember, records, () => fenced++);
  await lease.add('actor-1', { namespace: 'default', name: 'till' });
});

describe('the lease of a node that stood still', () => {
  it('is over, and valid again once it is renewed', async () => {
    expect(lease.valid).toBe(true);
    await clock.advance(LEASE_VALID_MS);
    expect(lease.valid).toBe(false);
    expect([await lease.revived(), lease.valid, fenced]).toEqual([true, true, 0]);
  });

  it('stays over if others have taken its actors over', async () => {
    await clock.advance(LEASE_VALID_MS);
    const before = (await records.lease(INCARNATION))!;
    expect(await records.setLease(INCARNATION, { ...before.record, fencedBy: 'node-2' }, before)).toBe(true);
    expect([await lease.revived(), lease.valid, fenced]).toEqual([false, false, 1]);
    expect(await lease.revived()).toBe(false);
  });
});
