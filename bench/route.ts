import { hash } from 'node:crypto';
import { rankWorkers } from '../coordinator/ranking.js';
import type { BlockMeta } from '../src/core/block.js';
import { Holdings } from '../src/core/holdings.js';
import { packKeys } from '../src/core/key.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import { Ring } from '../src/ring/ring.js';
import { collectGarbage } from './garbage.js';
import { ASSUMED_COSTS } from './replay/cost-model.js';
import { replayedMember } from './replay/replayed-member.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';

/** Measures routing alone: decisions of a coordinator, changes of its index, and the ring. */

const ROUNDS = 7;
const FLEETS = [8, 64, 512];
const INDEX_BLOCKS = [10_000, 100_000, 1_000_000];
/** Blocks of a prompt. Half of them are in the index. */
const PROMPT_BLOCKS = 32;
const DECISIONS = 50;
const CHANGE_KEYS = 512;
const JOINED_FLEET = 1_024;
const RING_SEGMENTS = 20_000;
/** Bound on the share of segments that a join moves, as a multiple of the ideal share. */
const MOVED = 1.25;

const ids = (count: number) => Array.from({ length: count }, (_, i) => `worker-${i + 1}`);
const ringOf = (members: readonly string[], before: Ring | null = null) =>
  new Ring(
    members.map((id) => ({ id, incarnation: '1', weight: 1 })),
    before,
  );
const keyOf = (i: number) => hash('sha256', `block ${i}`);

export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const times = rounds ?? ROUNDS;
  const rows = [];
  for (const workers of FLEETS) {
    progress(`decisions of a coordinator of ${workers} workers`);
    rows.push(
      reportRow(`decisions, ${workers} workers`, 'a second', Array.from({ length: times }, decisions(workers))),
    );
  }
  for (const blocks of INDEX_BLOCKS) {
    progress(`an index of ${blocks} blocks`);
    rows.push(reportRow(`index changes, ${blocks} blocks`, 'blocks a second', changes(blocks, times)));
  }
  progress('bytes of an index');
  const [index, naive] = [bytesOf(indexed), bytesOf(naiveIndex)];
  progress('the ring');
  const moved = Array.from({ length: times }, (_, i) => movedShare(16 + i) * (17 + i));
  return {
    name: 'route',
    machine: machineLine(),
    rows: [
      ...rows,
      reportRow('index', 'bytes a block', [index]),
      reportRow('naive map of sets', 'bytes a block', [naive]),
      reportRow(`join, ${JOINED_FLEET} members`, 'ms', joins(times, true)),
      reportRow(`ring from nothing, ${JOINED_FLEET} members`, 'ms', joins(times, false)),
      reportRow('largest share of the ring over the mean, 16 members', 'x', [balance(16)]),
    ],
    ratios: [
      reportRatio('segments that a join moves, over the ideal share', moved, { kind: 'at most', value: MOVED }),
      reportRatio('bytes of the index over a naive map of sets', quotients([index], [naive])),
    ],
  };
}

/** Decisions a second for prompts that a worker has half of. */
function decisions(workers: number): () => number {
  const members = ids(workers).map((id) => replayedMember(id, ASSUMED_COSTS));
  const ring = ringOf(ids(workers));
  const holdings = new Holdings();
  const blocks: BlockMeta[] = [];
  for (let i = 0; i < PROMPT_BLOCKS; i++) {
    const key = keyOf(i);
    blocks.push({
      key,
      parent: blocks.at(-1)?.key ?? null,
      index: i,
      segment: i % 8 === 0 ? key : blocks.at(-1)!.segment,
    });
  }
  hold(
    holdings,
    'worker-1',
    blocks.slice(0, PROMPT_BLOCKS / 2).map(({ key }) => key),
  );
  const promptTokens = PROMPT_BLOCKS * BLOCK_TOKENS + 1;
  const prompt = { promptTokens, blocks, contextTokens: promptTokens };
  const fleet = { members, ring, holdings, loads: new Map() };
  return () => {
    const startedMs = performance.now();
    for (let i = 0; i < DECISIONS; i++) rankWorkers(prompt, fleet, new Set(), i);
    return (1_000 * DECISIONS) / (performance.now() - startedMs);
  };
}

function hold(holdings: Holdings, worker: string, keys: readonly string[]): void {
  holdings.applyPage(holdings.beginSnapshot(worker, '1'), { seq: 0, keys: packKeys(keys), last: true });
}

/** Blocks a second that come to and go from an index of this many blocks. */
function changes(blocks: number, times: number): number[] {
  const holdings = new Holdings();
  hold(
    holdings,
    'worker-1',
    Array.from({ length: blocks }, (_, i) => keyOf(i)),
  );
  hold(holdings, 'worker-2', []);
  let seq = 0;
  return Array.from({ length: times }, (_, round) => {
    const keys = packKeys(Array.from({ length: CHANGE_KEYS }, (_key, i) => keyOf(-1 - round * CHANGE_KEYS - i)));
    const none = new Uint8Array(0);
    const startedMs = performance.now();
    const change = { worker: 'worker-2', incarnation: '1' };
    holdings.applyChange({ ...change, seq: ++seq, added: keys, removed: none });
    holdings.applyChange({ ...change, seq: ++seq, added: none, removed: keys });
    return (2_000 * CHANGE_KEYS) / (performance.now() - startedMs);
  });
}

const MEASURED_BLOCKS = 200_000;

function indexed(): object {
  const holdings = new Holdings();
  hold(
    holdings,
    'worker-1',
    Array.from({ length: MEASURED_BLOCKS }, (_, i) => keyOf(i)),
  );
  return holdings;
}

function naiveIndex(): object {
  return new Map(Array.from({ length: MEASURED_BLOCKS }, (_, i) => [keyOf(i), new Set(['worker-1'])]));
}

/** Bytes of heap for each block of what `make` makes. */
function bytesOf(make: () => object): number {
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const made = make();
  collectGarbage();
  const bytes = process.memoryUsage().heapUsed - before;
  // Keeps the created objects alive until here.
  return Object.keys(made).length >= 0 ? bytes / MEASURED_BLOCKS : 0;
}

function joins(times: number, fromBefore: boolean): number[] {
  const before = ringOf(ids(JOINED_FLEET));
  return Array.from({ length: times }, () => {
    const startedMs = performance.now();
    ringOf(ids(JOINED_FLEET + 1), fromBefore ? before : null);
    return performance.now() - startedMs;
  });
}

/** The share of segments whose first home changes when a member joins so many. */
function movedShare(members: number): number {
  const [before, after] = [ringOf(ids(members)), ringOf(ids(members + 1))];
  let moved = 0;
  for (let i = 0; i < RING_SEGMENTS; i++) {
    const segment = keyOf(i);
    if (before.homes(segment, 1)[0] !== after.homes(segment, 1)[0]) moved++;
  }
  return moved / RING_SEGMENTS;
}

function balance(members: number): number {
  const ring = ringOf(ids(members));
  const counts = new Map<string, number>();
  for (let i = 0; i < RING_SEGMENTS; i++) {
    const [home] = ring.homes(keyOf(i), 1);
    counts.set(home!, (counts.get(home!) ?? 0) + 1);
  }
  return Math.max(...counts.values()) / (RING_SEGMENTS / members);
}
