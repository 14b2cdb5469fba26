import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DividedTrail } from '../../../../coordinator/trail/divided-trail.js';
import { FileTrail, TRAIL_PAUSE_MS } from '../../../../coordinator/trail/trail.js';
import { TrailFile } from '../../../../coordinator/trail/trail-file.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { type RequestEntry, readEntry, type TrailEvent } from '../../../../src/trail/entry.js';

const REQUEST: RequestEntry = {
  ...{ event: 'request', request_id: 'r1', tenant: 'acme', key: 'web', role: 'user', address: '127.0.0.1' },
  ...{ method: 'POST', route: '/v1/completions', target: null, decision: 'allowed', status: 200, code: null },
  ...{ tokens: { prompt: 7, cached: 0, generated: 2 }, duration_ms: 1.5 },
};

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'shoal-trail-'));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

describe('the files of an audit log', () => {
  it('are for their owner alone, and never more or larger than allowed', async () => {
    const path = join(folder(), 'audit.log');
    const file = new TrailFile({ path, fileBytes: 100, files: 3 });
    for (let i = 0; i < 50; i++) await file.append(`${String(i).padStart(29, '0')}\n`);
    await file.close();
    const names = readdirSync(join(path, '..')).sort();
    expect(names).toEqual(['audit.log', 'audit.log.1', 'audit.log.2']);
    const texts = names.map((name) => readFileSync(join(path, '..', name), 'utf8'));
    for (const [i, name] of names.entries()) {
      expect(statSync(join(path, '..', name)).mode & 0o777).toBe(0o600);
      expect(texts[i]!.length).toBeLessThanOrEqual(100);
    }
    const kept = [texts[2], texts[1], texts[0]].join('').trim().split('\n').map(Number);
    expect(kept).toEqual(kept.map((_, i) => 50 - kept.length + i));
  });

  it('are continued after a restart, and closed to others if they were open to them', async () => {
    const path = join(folder(), 'audit.log');
    writeFileSync(path, 'old\n');
    chmodSync(path, 0o644);
    const file = new TrailFile({ path, fileBytes: 1_000, files: 1 });
    await file.append('new\n');
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('old\nnew\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('begin anew when somebody moves or removes the present one', async () => {
    const path = join(folder(), 'audit.log');
    const file = new TrailFile({ path, fileBytes: 1_000, files: 2 });
    await file.append('first\n');
    renameSync(path, `${path}.moved`);
    await file.append('second\n');
    rmSync(path);
    await file.append('third\n');
    await file.append('fourth\n');
    await file.close();
    expect(readFileSync(`${path}.moved`, 'utf8')).toBe('first\n');
    expect(readFileSync(path, 'utf8')).toBe('third\nfourth\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('lose no entry behind one that was cut off', async () => {
    const path = join(folder(), 'audit.log');
    writeFileSync(path, 'whole\n{"cut of');
    const file = new TrailFile({ path, fileBytes: 1_000, files: 2 });
    await file.append('next\n');
    await file.append('last\n');
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('whole\n{"cut of\nnext\nlast\n');
  });

  it('are not written through a link, and not into anything but a file', async () => {
    const path = join(folder(), 'audit.log');
    symlinkSync(join(path, '..', 'elsewhere'), path);
    await expect(new TrailFile({ path, fileBytes: 100, files: 2 }).open()).rejects.toThrow();
    await expect(new TrailFile({ path: '/dev/null', fileBytes: 100, files: 2 }).open()).rejects.toThrow(/regular file/);
    expect(readdirSync(join(path, '..'))).toEqual(['audit.log']);
  });
});

/** A disk that a test fills. */
function rig() {
  const clock = new SimulatedClock();
  const counted = { written: 0, lost: 0 };
  const state = { full: false, text: '', gate: null as Promise<void> | null };
  const file = {
    append: async (lines: string) => {
      await state.gate;
      if (state.full) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      state.text += lines;
    },
    close: async () => {},
  };
  const onEntries = (result: 'written' | 'lost', count: number) => {
    counted[result] += count;
  };
  const wallMs = () => 1_700_000_000_000 + clock.now();
  const trail = new FileTrail({ file, coordinator: 'c1', clock, wallMs, log: SILENT_LOG, onEntries });
  const entries = () =>
    state.text
      .split('\n')
      .slice(0, -1)
      .map((line) => readEntry(line)!);
  return { clock, counted, state, trail, entries };
}
const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

describe('an audit log', () => {
  it('has an entry with its time and coordinator in each line', async () => {
    const { trail, entries } = rig();
    trail.write(REQUEST);
    trail.write({ event: 'worker_quarantined', worker: 'w1', by: ['w2', 'w3'] });
    await trail.stop();
    expect(entries()).toEqual([
      { time: '2023-11-14T22:13:20.000Z', coordinator: 'c1', ...REQUEST },
      expect.objectContaining({ event: 'worker_quarantined', worker: 'w1', by: ['w2', 'w3'] }),
    ]);
  });

  it('goes on without blocking while the disk is full, and then tells how many entries were lost', async () => {
    const { clock, counted, state, trail, entries } = rig();
    state.full = true;
    for (let i = 0; i < 5; i++) trail.write(REQUEST);
    await turns();
    state.full = false;
    clock.advance(TRAIL_PAUSE_MS + 1_000);
    await turns();
    trail.write(REQUEST);
    await trail.stop();
    const [first, ...rest] = entries();
    expect(first).toMatchObject({ event: 'entries_lost', count: counted.lost });
    expect(rest).toHaveLength(counted.written);
    expect(counted).toEqual({ written: 6 - counted.lost, lost: expect.any(Number) });
    expect(counted.lost).toBeGreaterThan(0);
  });

  it('keeps a bounded number of entries while the disk hangs, and counts the others as lost', async () => {
    const { counted, state, trail, entries } = rig();
    let release = () => {};
    state.gate = new Promise((resolve) => {
      release = resolve;
    });
    for (let i = 0; i < 40_000; i++) trail.write(REQUEST);
    expect(counted.lost).toBeGreaterThan(20_000);
    release();
    await trail.stop();
    expect(counted.written + counted.lost).toBe(40_000);
    expect(entries().find(({ event }) => event === 'entries_lost')).toMatchObject({ count: counted.lost });
  });

  it('has few entries of strangers who flood the API, and counts the others', async () => {
    const { clock, trail, entries } = rig();
    const refused = { ...REQUEST, tenant: null, key: null, role: null, decision: 'refused', status: 401 } as const;
    for (let i = 0; i < 10_000; i++) trail.write(refused);
    trail.write({ ...REQUEST, decision: 'refused', status: 403 });
    clock.advance(1_000);
    await trail.stop();
    const own = entries().filter(({ event }) => event === 'request');
    expect(own.length).toBeLessThanOrEqual(201);
    expect(own.at(-1)).toMatchObject({ key: 'web', status: 403 });
    const counted = entries().find(({ event }) => event === 'refused_without_entry');
    expect(counted).toMatchObject({ count: 10_001 - own.length });
  });

  it('has few refusals of a key that floods the API, names it with the count of the others, and goes on when it stops', async () => {
    const { clock, trail, entries } = rig();
    const refused = { ...REQUEST, decision: 'refused', status: 429 } as const;
    for (let i = 0; i < 10_000; i++) trail.write(refused);
    trail.write({ ...refused, key: 'other' });
    trail.write(REQUEST);
    await clock.advance(1_000);
    const own = entries().filter((entry) => entry.event === 'request' && entry.key === 'web');
    expect(own).toHaveLength(201);
    expect(own.at(-1)).toMatchObject({ decision: 'allowed' });
    const counted = entries().filter(({ event }) => event === 'refused_without_entry');
    expect(counted).toMatchObject([{ tenant: 'acme', key: 'web', count: 9_800 }]);
    await clock.advance(60_000);
    for (let i = 0; i < 100; i++) trail.write(refused);
    await trail.stop();
    expect(entries().filter((entry) => entry.event === 'request' && entry.key === 'web')).toHaveLength(301);
  });

  it('counts the refusals of a bounded number of keys', async () => {
    const { counted, clock, trail } = rig();
    for (let i = 0; i < 5_000; i++) trail.write({ ...REQUEST, key: `k${i}`, decision: 'refused', status: 429 });
    expect((trail as unknown as { floods: Map<string, unknown> }).floods.size).toBeLessThanOrEqual(1_025);
    await clock.advance(600_000);
    expect((trail as unknown as { floods: Map<string, unknown> }).floods.size).toBe(0);
    await trail.stop();
    expect(counted.lost).toBe(0);
  });
});

it('An audit log keeps what users ask for, and what is refused, apart from all else, which neither can rotate away', () => {
  const [use, refused, rest]: TrailEvent[][] = [[], [], []];
  const trail = new DividedTrail({
    use: { write: (event) => use!.push(event) },
    refused: { write: (event) => refused!.push(event) },
    rest: { write: (event) => rest!.push(event) },
  });
  const failed: RequestEntry = { ...REQUEST, decision: 'failed', status: 400 };
  const refusals: RequestEntry[] = [
    { ...REQUEST, decision: 'refused', status: 429 },
    { ...REQUEST, tenant: null, key: null, role: null, decision: 'refused', status: 401 },
    { ...REQUEST, decision: 'refused', status: 403, route: '/v1/fleet/workers/:id/drain' },
  ];
  const others: TrailEvent[] = [
    { ...REQUEST, role: 'operator', route: '/v1/fleet/workers/:id/drain' },
    { event: 'purge_complete', purge: 'p1', tenant: 'acme', blocks: 3 },
  ];
  // Without keys, everyone has the rights of an operator.
  const anyone = { ...REQUEST, tenant: null, key: null, role: null };
  others.push({ ...anyone, route: '/v1/cache/purge' }, { ...anyone, method: 'DELETE', route: '/v1/cache/pin/:id' });
  others.push({ ...anyone, route: '/v1/fleet/workers/:id/kill' }, { ...anyone, method: 'REDIS', route: 'FLUSHDB' });
  const used = [REQUEST, failed, { ...REQUEST, route: '/v1/cache/purge' }, anyone, { ...anyone, route: '/tokenize' }];
  for (const event of [...used, ...refusals, ...others]) trail.write(event);
  expect(use).toEqual(used);
  expect(refused).toEqual(refusals);
  expect(rest).toEqual(others);
});
