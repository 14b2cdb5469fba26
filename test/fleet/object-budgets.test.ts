import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { Fleet } from './support/fleet.js';

const MiB = 2 ** 20;
const KiB = 2 ** 10;

interface Memory {
  readonly objects: number;
  readonly bytes: number;
  readonly budget_bytes: number;
  readonly evicted: number;
}

describe('a fleet with more objects than memory', () => {
  let fleet: Fleet;
  const clients: Redis[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'shoal-objects-'));

  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await fleet?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (address: string) => {
    const [host, port] = address.split(':') as [string, string];
    const client = new Redis(Number(port), host);
    client.on('error', () => {});
    clients.push(client);
    return client;
  };
  const memory = async () => (await (await fetch(`${fleet.url}/v1/kv?view=memory`)).json()) as Memory;

  it('stays within its budgets while ten times as much is written, goes on answering, and forgets the oldest', async () => {
    const budget = 16 * MiB;
    const bytes = 256 * KiB;
    fleet = await Fleet.up(['--workers', '2', '--replicas', '2', '--redis-port', '0', '--object-bytes', '16MiB']);
    const lines = fleet.ready.workers.flatMap(({ redis }) => [open(redis!), open(redis!), open(redis!)]);
    const took: number[] = [];
    let written = 0;
    let wrong = 0;
    const writer = async (client: Redis, line: number) => {
      while (written < (10 * budget) / bytes) {
        const serial = written++;
        const value = Buffer.alloc(bytes, serial % 251);
        const startMs = performance.now();
        await client.set(`k${serial}`, value);
        took.push(performance.now() - startMs);
        const older = await client.getBuffer(`k${Math.max(0, serial - 8 * (line + 1))}`);
        const expected = Math.max(0, serial - 8 * (line + 1)) % 251;
        if (older !== null && !older.equals(Buffer.alloc(bytes, expected))) wrong++;
      }
    };
    const seen: Memory[] = [];
    let over = false;
    const watch = async () => {
      while (!over) seen.push(await memory());
    };
    const watching = watch();
    await Promise.all(lines.map(writer));
    over = true;
    await watching;
    expect(wrong).toBe(0);
    expect(seen.filter((each) => each.bytes > each.budget_bytes)).toEqual([]);
    const end = await memory();
    expect(end.budget_bytes).toBe(2 * budget);
    expect(end.bytes).toBeLessThanOrEqual(end.budget_bytes);
    expect(end.evicted).toBeGreaterThan(8 * (budget / bytes));
    expect(await lines[0]!.exists('k0')).toBe(0);
    expect(await lines[0]!.getBuffer(`k${written - 1}`)).not.toBeNull();
    expect((await (await fetch(`${fleet.url}/v1/fleet`)).json()) as object).toMatchObject({
      workers: fleet.ready.workers.map(({ pid }) => expect.objectContaining({ pid, state: 'serving' })),
    });
    took.sort((a, b) => a - b);
    console.log(`SET of ${bytes} bytes, ten times over the budget: p50 ${at(took, 0.5)} ms, p99 ${at(took, 0.99)} ms`);
  });

  it('keeps on disk what memory has no room for, and reads it back', async () => {
    const disk = ['--disk-cache-dir', folder, '--object-disk-bytes', '200MiB'];
    fleet = await Fleet.up([
      '--workers',
      '2',
      '--replicas',
      '1',
      '--redis-port',
      '0',
      '--object-bytes',
      '8MiB',
      ...disk,
    ]);
    const client = open(fleet.ready.workers[0]!.redis!);
    const filled = (serial: number) => Buffer.alloc(MiB, 1 + serial);
    for (let serial = 0; serial < 60; serial++) await client.set(`k${serial}`, filled(serial));
    let there = 0;
    for (let serial = 0; serial < 60; serial++) {
      const value = await client.getBuffer(`k${serial}`);
      if (value === null) continue;
      there++;
      expect(value.equals(filled(serial))).toBe(true);
      const { bytes, budget_bytes: budget } = await memory();
      expect(bytes).toBeLessThanOrEqual(budget);
    }
    // Far more than memory holds. All, unless the disk is slower than the writer.
    expect(there).toBeGreaterThan(30);
    expect(await client.dbsize()).toBe(there);
  });
});

function at(sorted: readonly number[], share: number): string {
  return sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(1);
}
