import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { FleetEvent, FleetRequest } from '../../../../coordinator/fleet.js';
import { segmentsOf } from '../../../../coordinator/retention/retention.js';
import { blockKeys, labelOf, rootSeed } from '../../../../src/core/key.js';
import { saltLabel } from '../../../../src/core/salt.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { GREEDY, packTokens } from '../../../../src/protocol/generate.js';
import { FINGERPRINT, noise, Rig } from '../../engine/support/rig.js';
import { CONTEXT_TOKENS, type TestServer, testServer } from '../support/test-server.js';

/** Attacks a real engine behind the real API: what can a caller learn of another's prompts from what its own ones cost? */

const VOCAB = 256;
const PROMPT_BLOCKS = 4;
const CANDIDATES = 24;
const TENANTS = 256;

const secret = (id: string) => `the-secret-of-${id}`;
const bearer = (id: string) => ({ authorization: `Bearer ${secret(id)}` });
const entry = (id: string, tenant: string, fields = '') =>
  `  - { id: ${id}, secret: ${secret(id)}, tenant: ${tenant}${fields} }\n`;
const prompt = (seed: number, blocks = PROMPT_BLOCKS) => noise(64 * blocks, VOCAB, seed);

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open(await openModelFolder('models/recall'), { budgetBlocks: 4_096 });
});
afterAll(async () => expect(await rig.close()).toEqual([]));

async function* onEngine(request: FleetRequest, signal: AbortSignal): AsyncGenerator<FleetEvent> {
  const { requestId, tokens, salt, sampling, stopping } = request;
  const asked = { requestId, tokens: packTokens(tokens), salt: salt ?? '', sampling, stopping };
  const events = rig.engine.generate({ ...asked, fingerprint: FINGERPRINT, resumeTokens: 0, sources: [] }, signal);
  for await (const event of events) yield event.type === 'start' ? { ...event, worker: 'w1' } : event;
}

async function serverFor(entries: string): Promise<TestServer> {
  rig.cache.clear();
  const folder = mkdtempSync(join(tmpdir(), 'shoal-keys-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const keysFile = join(folder, 'keys.yaml');
  writeFileSync(keysFile, `keys:\n${entries}`);
  const server = await testServer({ keysFile });
  server.fleet.script = onEngine;
  return server;
}

/** Tokens of the prompt that were found, and that had to be computed, for this caller. */
async function cost({ post }: TestServer, who: string, tokens: readonly number[], cache_salt?: string) {
  const response = await post('/v1/completions', { prompt: [...tokens, 1], max_tokens: 1, cache_salt }, bearer(who));
  expect(response.status).toBe(200);
  // Blocks are kept after the answer.
  await rig.engine.idle();
  const { usage, shoal } = (await response.json()) as {
    usage: { prompt_tokens_details: { cached_tokens: number } };
    shoal: { cached: { computed: number } };
  };
  return { cached: usage.prompt_tokens_details.cached_tokens, computed: shoal.cached.computed };
}

/** Publishes a prefix as the fleet does: computes it under the salt of the layer, and settles its retention. */
async function publish({ post, retentions, layers }: TestServer, tokens: readonly number[], share: string) {
  const response = await post('/v1/cache/pin', { tokens, share }, bearer('olaf'));
  expect(response.status).toBe(200);
  const order = retentions.orders.at(-1)!;
  const salt = order.salt!;
  const stopping = { maxTokens: 1, minTokens: 0, tokenIds: [], ignoreEos: true };
  const request = { requestId: '', tokens: order.tokens, salt, stopping, worker: null };
  for await (const _ of onEngine({ ...request, sampling: GREEDY }, new AbortController().signal));
  await rig.engine.idle();
  const blocks = blockKeys(order.tokens, rootSeed({ fingerprint: FINGERPRINT, adapter: '', salt }));
  const common = { slot: 0, owner: null, segments: segmentsOf(blocks), last: blocks.at(-1)!.key, reason: null };
  const times = { createdMs: 0, expiresMs: 1, stage: 'settled' as const };
  const retention = { id: 'pin', layer: share, tokens: tokens.length, blocks: blocks.length, ...common, ...times };
  layers.learn([retention], () => ({ tokens: order.tokens, salt, tenant: null }));
}

/** Area under the ROC curve: how often a positive scores higher than a negative; ties count half. */
function auc(positives: readonly number[], negatives: readonly number[]): number {
  let wins = 0;
  for (const p of positives) for (const n of negatives) wins += p > n ? 1 : p === n ? 0.5 : 0;
  return wins / (positives.length * negatives.length);
}

/** The victim asks half of the candidates; the attacker asks each of them once and scores it by what it cost. */
async function oracle(server: TestServer, victim: string, attacker: string, candidates: readonly number[][]) {
  for (const [i, tokens] of candidates.entries()) if (i % 2 === 0) await cost(server, victim, tokens);
  const scores: { cached: number; computed: number }[] = [];
  for (const tokens of candidates) scores.push(await cost(server, attacker, tokens));
  const split = (of: (score: (typeof scores)[number]) => number) =>
    auc(scores.filter((_, i) => i % 2 === 0).map(of), scores.filter((_, i) => i % 2 === 1).map(of));
  return { byHits: split(({ cached }) => cached), byComputedTokens: split(({ computed }) => -computed) };
}

const KEYS =
  entry('ann', 'acme', ', shares: [public]') +
  entry('art', 'acme', ', shares: [public]') +
  entry('kim', 'acme', ', shares: [public], salt_scope: key') +
  entry('bob', 'beta', ', shares: [public]') +
  entry('olaf', 'operations', ', role: operator');

it('an oracle works within one salt, and not across a border of salts', async () => {
  const server = await serverFor(KEYS);
  const candidates = (round: number) => Array.from({ length: CANDIDATES }, (_, i) => prompt(1_000 * round + i));
  const within = await oracle(server, 'ann', 'art', candidates(1));
  expect(within.byHits).toBeGreaterThan(0.9);
  expect(within.byComputedTokens).toBeGreaterThan(0.9);
  const borders = [
    ['ann', 'bob'],
    ['ann', 'kim'],
    ['bob', 'olaf'],
  ] as const;
  for (const [i, [victim, attacker]] of borders.entries()) {
    const across = await oracle(server, victim, attacker, candidates(i + 2));
    expect(across.byHits).toBeLessThanOrEqual(0.55);
    expect(across.byComputedTokens).toBeLessThanOrEqual(0.55);
  }
});

it('an oracle finds nothing behind a published prefix, although all share its blocks', async () => {
  const server = await serverFor(KEYS);
  const system = prompt(7, 2);
  await publish(server, system, 'public');
  const candidates = Array.from({ length: CANDIDATES }, (_, i) => [...system, ...prompt(5_000 + i, 2)]);
  const across = await oracle(server, 'ann', 'bob', candidates);
  expect(across.byHits).toBeLessThanOrEqual(0.55);
  expect(across.byComputedTokens).toBeLessThanOrEqual(0.55);
  // Everyone gets the published blocks, and the cost of a prompt's other blocks.
  expect(await cost(server, 'bob', [...system, ...prompt(9_999, 2)])).toEqual({ cached: 128, computed: 129 });
  // A prefix that no operator has published is shared by nobody, even where it is the longest common one.
  expect(await cost(server, 'olaf', candidates[0]!)).toEqual({ cached: 0, computed: 257 });
});

it('256 tenants have one copy of a published prefix, and each its own of the rest', async () => {
  const names = Array.from({ length: TENANTS }, (_, i) => `t${i}`);
  const entries = names.map((name) => entry(name, name, ', shares: [public]')).join('');
  const server = await serverFor(entries + entry('olaf', 'operations', ', role: operator') + entry('eve', 'eve'));
  const system = prompt(11, PROMPT_BLOCKS);
  expect(system.length + 64).toBeLessThan(CONTEXT_TOKENS);
  await publish(server, system, 'public');
  const published = rig.cache.size;
  expect(published).toBe(PROMPT_BLOCKS);
  let computed = 0;
  for (const name of names) computed += (await cost(server, name, [...system, ...prompt(12, 1)])).computed;
  expect(computed).toBe(65 * TENANTS);
  expect(rig.cache.size).toBe(PROMPT_BLOCKS + TENANTS);
  const label = saltLabel('layer/public:');
  expect(rig.cache.keys().filter((key) => labelOf(key) === label)).toHaveLength(PROMPT_BLOCKS);
  // By default a tenant shares no layer.
  expect(await cost(server, 'eve', [...system, ...prompt(12, 1)])).toEqual({ cached: 0, computed: 321 });
  // The tenant's own salts separate its users, who share the published blocks all the same.
  expect(await cost(server, 't1', [...system, ...prompt(12, 1)], 'one of its users')).toEqual({
    cached: 256,
    computed: 65,
  });
}, 120_000);

it('only operators, and whom they appointed, publish into a layer', async () => {
  const server = await serverFor(
    entry('ann', 'acme', ', shares: [public, "org:acme"]') +
      entry('art', 'acme', ', publishes: ["org:acme"]') +
      entry('olaf', 'operations', ', role: operator'),
  );
  const share = async (who: string, layer: unknown) =>
    (await server.post('/v1/cache/pin', { tokens: prompt(1), share: layer }, bearer(who))).status;
  expect(await share('ann', 'public')).toBe(403);
  expect(await share('ann', 'org:acme')).toBe(403);
  expect(await share('art', 'public')).toBe(403);
  expect(await share('art', 'org:acme')).toBe(200);
  expect(await share('olaf', 'public')).toBe(200);
  for (const wrong of ['', 'org:', 'tenant', 'org:a b', 'layer/public:', 7])
    expect(await share('olaf', wrong)).toBe(400);
});
