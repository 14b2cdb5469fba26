import { describe, expect, it } from 'vitest';
import { within } from '../../../src/async/within.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { blockBytes, type KvLayout } from '../../../src/core/kv-layout.js';
import { Refused } from '../../../src/errors.js';
import { checkBudgets, FRAME_PAYLOAD_BYTES, hostBudgetBytes } from '../../../workers/budgets.js';
import { HEADER_BYTES } from '../../../workers/cache/block-file.js';
import { Instruments } from '../../../workers/instruments.js';
import { NO_CACHE } from '../../../workers/prefix/no-cache.js';
import { deferred } from '../actors/world.js';
import { Cache, chain } from './support/cache.js';

describe('waiting within a time', () => {
  it('reports whether the event came in time, and leaves no timer', async () => {
    const clock = new SimulatedClock();
    const slow = deferred();
    const [early, late] = [within(clock, 100, Promise.resolve()), within(clock, 100, slow.promise)];
    expect(await early).toBe(true);
    await clock.advance(100);
    expect(await late).toBe(false);
    slow.resolve();
    await settled();
    expect(clock.nextAtMs()).toBeNull();
  });

  it('passes failures on', async () => {
    const clock = new SimulatedClock();
    await expect(within(clock, 100, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await settled();
    expect(clock.nextAtMs()).toBeNull();
  });
});

describe('a budget', () => {
  const layout: KvLayout = { layers: 2, kvHeads: 2, headDim: 8, blockTokens: 64, elementType: 'float16' };

  const bytes = blockBytes(layout);
  const budgets = { cacheBytes: bytes, hostCacheBytes: null, diskCacheDir: null, diskCacheBytes: 0 };

  it('holds a block at least', () => {
    checkBudgets(layout, budgets);
    expect(() => checkBudgets(layout, { ...budgets, cacheBytes: bytes - 1 })).toThrow(Refused);
    expect(() => checkBudgets(layout, { ...budgets, cacheBytes: bytes - 1 })).toThrow('--cache-bytes');
    checkBudgets(layout, { ...budgets, hostCacheBytes: 0 });
    expect(() => checkBudgets(layout, { ...budgets, hostCacheBytes: bytes - 1 })).toThrow('--host-cache-bytes');
    checkBudgets(layout, { ...budgets, diskCacheDir: '/d', diskCacheBytes: bytes + HEADER_BYTES });
    expect(() => checkBudgets(layout, { ...budgets, diskCacheDir: '/d', diskCacheBytes: bytes })).toThrow(
      '--disk-cache-bytes',
    );
  });

  it('is of no use where a block does not fit a frame', () => {
    const huge = { ...layout, layers: Math.ceil(FRAME_PAYLOAD_BYTES / blockBytes({ ...layout, layers: 1 })) + 1 };
    expect(() => checkBudgets(huge, { ...budgets, cacheBytes: Number.MAX_SAFE_INTEGER })).toThrow(Refused);
  });

  it('is the same in host memory as on a device with its own memory, unless set', () => {
    expect(hostBudgetBytes(budgets, 'cpu')).toBe(0);
    expect(hostBudgetBytes(budgets, 'cuda')).toBe(bytes);
    expect(hostBudgetBytes({ ...budgets, hostCacheBytes: 7 }, 'cpu')).toBe(7);
    expect(hostBudgetBytes({ ...budgets, hostCacheBytes: 0 }, 'webgpu')).toBe(0);
  });
});

describe('no cache', () => {
  it('has no blocks, keeps none, and lets no request wait', async () => {
    const blocks = chain('prompt', 2);
    const request = { requestId: 'r', blocks, sources: [] };
    const prefix = await NO_CACHE.prepare(request, new AbortController().signal);
    expect(prefix.blocks).toEqual([]);
    expect(prefix.claim()).toBe(true);
    expect((await NO_CACHE.prepare(request, new AbortController().signal)).claim()).toBe(true);
    expect(NO_CACHE.reserve(blocks[0]!)).toBeNull();
    prefix.unpin();
    prefix.settle();
  });
});

describe('the instruments of a worker', () => {
  const stats = {
    running: 2,
    waiting: 1,
    generatedTokens: 10,
    promptTokens: { local: 100, remote: 50, computed: 7 },
    queuedTokens: 0,
    computeMsPerToken: null,
    computeAgeMs: null,
    decodeMsPerStep: null,
  };

  it('show the events of its parts, each once', async () => {
    const cache = new Cache(2);
    let changes = 0;
    const damages: unknown[] = [];
    const ran: unknown[] = [];
    const owner = { blockNotKept: () => {}, damaged: (block: unknown) => damages.push(block) };
    const instruments = new Instruments({ ...owner, ran: (outcome, _, ended) => ran.push([outcome, ended.requestId]) });
    const ended = { requestId: 'r', traceId: null, promptTokens: null, generatedTokens: 0 };
    const untimed = { ...ended, queueMs: null, firstTokenMs: null, finish: null };
    instruments.onLoad(() => changes++);
    instruments.watch(cache.store, () => ({ epoch: 'abcdef012345', workers: [], natsConnected: true }));
    instruments.sample(stats, { h2d: 0, d2h: 10, d2d: 100 });
    const later = { ...stats, generatedTokens: 13, promptTokens: { local: 100, remote: 60, computed: 7 } };
    instruments.sample(later, { h2d: 5, d2h: 10, d2d: 160 });
    instruments.lag(5, 7);
    instruments.noRoom(2);
    instruments.moved(3);
    instruments.peerJoined('bob');
    instruments.damagedFile('k1');
    instruments.peers.onIntegrityFailure({ stage: 'fetch', peer: 'bob', block: 'k2' });
    instruments.peers.onIntegrityFailure({ stage: 'push', peer: 'a stranger', block: 'k3' });
    instruments.engine.onQueue(10);
    instruments.engine.onEnd('done', 100, untimed);
    instruments.engine.onEnd('cancelled', 100, untimed);
    instruments.peers.onFetch(640, 2, 'in');
    instruments.peers.onFailure('unavailable');
    instruments.tally.delivered('bob', 'fetched', 'k1');
    instruments.tally.delivered('bob', 'pushed', 'k2');
    instruments.tally.delivered('ann', 'pushed', 'k3');
    instruments.tally.found('r0', []);
    instruments.tally.found('r1', [
      { key: 'k0', tier: 'disk' },
      ...['k1', 'k2', 'k3', 'unknown'].map((key) => ({ key, tier: null })),
    ]);
    instruments.tally.found('r2', [{ key: 'k0', tier: 'host' }]);
    for (const outcome of ['right', 'right', 'wrong', 'skipped'] as const) instruments.audited(outcome);
    cache.fill(['a', 'b', 'c'].flatMap((name) => chain(name, 1)));
    cache.store.reset();
    cache.fill(chain('d', 1));
    const url = await instruments.serve({ host: '127.0.0.1', port: 0 }, { ready: () => true });
    const text = await (await fetch(`${url}/metrics`)).text();
    await instruments.close();
    const value = (line: string) =>
      text
        .split('\n')
        .find((shown) => shown.startsWith(`${line} `))
        ?.split(' ')[1];
    expect(value('shoal_generated_tokens_total')).toBe('13');
    expect(value('shoal_prompt_tokens_total{source="remote"}')).toBe('60');
    expect(value('shoal_prompt_tokens_total{source="local"}')).toBe('100');
    expect(value('shoal_requests_running')).toBe('2');
    expect(value('shoal_requests_waiting')).toBe('1');
    expect(value('shoal_replication_lag_blocks')).toBe('5');
    expect(value('shoal_under_replicated_blocks')).toBe('7');
    expect(value('shoal_replication_no_room_blocks')).toBe('2');
    expect(value('shoal_device_copy_bytes_total{direction="h2d"}')).toBe('5');
    expect(value('shoal_device_copy_bytes_total{direction="d2d"}')).toBe('160');
    expect(value('shoal_rebalance_moved_blocks_total')).toBe('3');
    expect(value('shoal_requests_total{status="200"}')).toBe('1');
    expect(value('shoal_requests_total{status="499"}')).toBe('1');
    expect(value('shoal_peer_fetch_bytes_total{direction="in"}')).toBe('640');
    expect(value('shoal_peer_fetch_failures_total{reason="unavailable"}')).toBe('1');
    expect(value('shoal_cache_evictions_total{tier="device",reason="evicted"}')).toBe('1');
    expect(value('shoal_cache_evictions_total{tier="device",reason="reset"}')).toBe('2');
    expect(value('shoal_cache_blocks{tier="device"}')).toBe('1');
    expect(value('shoal_cache_budget_bytes{tier="device"}')).toBe(String(cache.device.memory().blockBudgetBytes));
    expect(value('shoal_integrity_failures_total{stage="disk",peer=""}')).toBe('1');
    expect(value('shoal_integrity_failures_total{stage="fetch",peer="bob"}')).toBe('1');
    expect(value('shoal_integrity_failures_total{stage="push",peer="bob"}')).toBe('0');
    expect(value('shoal_integrity_failures_total{stage="push",peer="other"}')).toBe('1');
    expect(damages).toEqual([
      { stage: 'disk', peer: null, block: 'k1' },
      { stage: 'fetch', peer: 'bob', block: 'k2' },
      { stage: 'push', peer: 'a stranger', block: 'k3' },
    ]);
    const from = [
      { peer: 'bob', blocks: 2, pushed: 1 },
      { peer: 'ann', blocks: 1, pushed: 1 },
    ];
    const second = { requestId: 'r2', host: 1, disk: 0, from: [] };
    expect(instruments.tally.activity(0)).toEqual({
      received: [
        { peer: 'bob', fetched: 1, pushed: 1 },
        { peer: 'ann', fetched: 0, pushed: 1 },
      ],
      ...{ evicted: 1, damaged: 3, audits: { right: 2, wrong: 1, skipped: 1 } },
      ...{ seq: 2, found: [{ requestId: 'r1', host: 0, disk: 1, from }, second] },
    });
    expect(instruments.tally.activity(1).found).toEqual([second]);
    expect(instruments.tally.activity(2).found).toEqual([]);
    // Two of them for blocks with wrong bytes.
    expect(changes).toBe(5);
    expect(ran).toEqual([
      ['done', 'r'],
      ['cancelled', 'r'],
    ]);
    expect(cache.close()).toEqual([]);
  });

  it('report blocks that could not be kept', () => {
    const errors: unknown[] = [];
    const owner = { damaged: () => {}, ran: () => {} };
    const instruments = new Instruments({ ...owner, blockNotKept: (error, request) => errors.push([error, request]) });
    instruments.engine.onOfferFailed('no memory', 'r');
    expect(errors).toEqual([['no memory', 'r']]);
  });
});
