import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { natsTransport } from '../../../src/bus/nats-transport.js';
import type { Transport } from '../../../src/bus/transport.js';
import { Overloaded } from '../../../src/errors.js';
import { openBucket } from '../../../src/fleet/buckets.js';
import { ActorRecords, type NameRecord } from '../../../src/runtime/detached/actor-records.js';

const KIB = 1024;
const namespace = 'default';

let dir: string;
let server: EmbeddedServer;
let transport: Transport;
let records: ActorRecords;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
  server = await startNatsServer({ path: (await findNatsServer()).path, dir });
  const { url, user, password } = server;
  const options = { url, user, password, name: 'test' };
  transport = await natsTransport({ ...options, signal: new AbortController().signal, onWaiting: () => {} });
});

afterEach(async () => {
  await transport?.bus.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

const open = (limits: { maxBytes: number; maxValues: number }) => {
  records = new ActorRecords(() => openBucket(transport, { name: 'actors', ...limits }));
};

/** The record of a detached actor with so many bytes of arguments. */
function recordOf(name: string, bytes: number): NameRecord {
  const limits = { maxConcurrency: 1, concurrencyGroups: [] };
  const node = { node: 'a', incarnation: 'a1' };
  const handle = { id: name, class: 'C', streams: [], owner: null, name: { namespace, name }, maxTaskRetries: 0 };
  const args = { plain: ['x'.repeat(bytes)], tagged: false };
  const spec = { id: name, class: 'C', version: '1', args, name, namespace, lifetime: 'detached' as const, ...limits };
  const rest = { resources: {}, bundle: null, maxRestarts: 0, maxPending: 1, checkpointEvery: 1 };
  return {
    handle: { ...handle, ...limits },
    detached: { spec: { ...spec, ...rest }, node, adopted: true, epoch: 0 },
  };
}

/** Claims names until the store refuses one. Resolves with those that it took. */
async function fill(sizes: readonly number[]): Promise<string[]> {
  const taken: string[] = [];
  for (const bytes of sizes) {
    for (let isRefused = false; !isRefused; ) {
      const name = `${bytes}-${taken.length}`;
      const claims = ['a', 'b', 'c'].map(async (each) => {
        const claimed = `${name}-${each}`;
        expect(await records.claimName({ namespace, name: claimed }, recordOf(claimed, bytes), null)).toBe(true);
        taken.push(claimed);
      });
      for (const claim of await Promise.allSettled(claims)) {
        if (claim.status === 'fulfilled') continue;
        isRefused = true;
        expect(claim.reason).toBeInstanceOf(Overloaded);
        expect(claim.reason.message).toMatch(/nearly full.*\$kill\(\)/);
      }
    }
  }
  return taken;
}

describe('the records of actors', () => {
  it('are all kept when the store takes no more, and leases and states still replace theirs', async () => {
    open({ maxBytes: 2_048 * KIB, maxValues: 1_000 });
    const lease = { beat: 1, actors: [{ namespace, name: 'one' }], fencedBy: null };
    expect(await records.setLease('a1', lease, null)).toBe(true);
    const state = { id: 'one', epoch: 0, state: { plain: ['x'.repeat(40 * KIB)], tagged: false } };
    expect(await records.setState({ namespace, name: 'one' }, state, null)).toBe(true);
    const taken = await fill([60_000, 20_000, 1_000]);
    for (const name of taken) expect(await records.named({ namespace, name })).not.toBeNull();
    expect(await records.setLease('a1', { ...lease, beat: 2 }, await records.lease('a1'))).toBe(true);
    const kept = (await records.state({ namespace, name: 'one' }))!;
    const grown = { ...state, state: { plain: ['x'.repeat(60_000)], tagged: false } };
    await expect(records.growState({ namespace, name: 'one' }, grown, kept)).rejects.toThrow(Overloaded);
    expect(await records.growState({ namespace, name: 'one' }, { ...state, epoch: 1 }, kept)).toBe(true);
    for (const name of taken) expect(await records.named({ namespace, name })).not.toBeNull();
  });

  it('are taken again once others have been removed, however many traces those left', async () => {
    open({ maxBytes: 2_048 * KIB, maxValues: 64 });
    for (let round = 0; round < 3; round++) {
      const taken = await fill([10]);
      expect(taken.length).toBeGreaterThan(30);
      for (const name of taken) await records.deleteName({ namespace, name });
    }
  });
});
