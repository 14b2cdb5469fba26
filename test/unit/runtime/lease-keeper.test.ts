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

/** A store that takes a while for each request. */
class FarStore extends MemoryKeyValue {
  delayMs = 0;

  override async get(key: string) {
    await this.reached();
    return super.get(key);
  }

  override async update(key: string, value: Uint8Array, revision: number) {
    await this.reached();
    return super.update(key, value, revision);
  }

  private async reached(): Promise<void> {
    if (this.delayMs > 0) await new Promise<void>((resolve) => clock.after(this.delayMs, resolve));
  }
}

let store: FarStore;

beforeEach(async () => {
  clock = new SimulatedClock();
  store = new FarStore();
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

describe('the lease of a node that is far from the store', () => {
  it('stays valid, also while many actors are added to it', async () => {
    store.delayMs = 240;
    lease.start();
    const added = Array.from({ length: 50 }, (_, i) => lease.add(`more-${i}`, { namespace: 'default', name: `n${i}` }));
    const valid: boolean[] = [];
    for (let i = 0; i < 100; i++) {
      await clock.advance(100);
      valid.push(lease.valid);
    }
    await Promise.all(added);
    expect(valid).not.toContain(false);
    store.delayMs = 0;
    expect((await records.lease(INCARNATION))!.record.actors).toHaveLength(51);
  });
});
