import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PlainNats, plainNats } from '../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { packTokens } from '../../src/protocol/generate.js';
import { Fleet } from './support/fleet.js';

interface Pin {
  readonly id: string;
  readonly state: string;
  readonly copies: number;
  readonly blocks: number;
}

const WORKERS = 3;
const sheet = recallSheet(32, 47);
const prompt = recallPrompt(sheet, sheet.questions[0]!.question);

describe('a pinned prompt', () => {
  let dir: string;
  let nats: PlainNats;
  let fleet: Fleet;

  const up = () =>
    Fleet.up(['--workers', `${WORKERS}`, '--replicas', '2', '--cache-bytes', '8MiB', '--nats', nats.url], {
      SHOAL_SECRET: 'a secret that outlives the fleet',
    });
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-pins-'));
    nats = await plainNats((await findNatsServer()).path, ['-js', '-sd', dir]);
    fleet = await up();
  });
  afterAll(async () => {
    await fleet?.stop();
    await nats?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const pins = async () => ((await (await fetch(`${fleet.url}/v1/cache/pins`)).json()) as { data: Pin[] }).data;
  const held = async () => {
    for (;;) {
      const [pin] = await pins();
      if (pin?.state === 'held') return pin;
    }
  };
  const cachedTokens = async () => (await fleet.complete({ prompt })).usage.prompt_tokens_details.cached_tokens;
  /** Copies of each block at its homes. */
  const copiesAtHomes = async () => {
    const response = await fleet.post('/v1/cache/explain', { prompt });
    const { blocks } = (await response.json()) as { blocks: { homes: string[]; holders: string[] }[] };
    return blocks.map(({ homes, holders }) => homes.filter((home) => holders.includes(home)).length);
  };
  /** Fills all memory with prompts of other notes, until the first of them is gone again. */
  const flood = async (seed: number) => {
    const first = recallPrompt(recallSheet(32, seed), '');
    await fleet.complete({ prompt: first, max_tokens: 1 });
    for (let i = 1; i < 40 || (await fleet.holders(first)).size > 0; i++) {
      await fleet.complete({ prompt: recallPrompt(recallSheet(32, seed + i), ''), max_tokens: 1 });
    }
  };

  it('stays at its homes while all other blocks are evicted', async () => {
    const response = await fleet.post('/v1/cache/pin', { prompt });
    expect([response.status, await response.json()]).toMatchObject([200, { state: 'pending' }]);
    const { copies, blocks } = await held();
    expect([copies, blocks]).toEqual([2, Math.floor((await fleet.countTokens(prompt)) / 64)]);
    await flood(1_000);
    expect(await copiesAtHomes()).toEqual(new Array(blocks).fill(2));
    expect(await cachedTokens()).toBe(64 * Math.floor(((await fleet.countTokens(prompt)) - 1) / 64));
  });

  it('lies in the store of NATS under its seal only', async () => {
    const tokens = ((await (await fleet.post('/tokenize', { prompt })).json()) as { tokens: number[] }).tokens;
    const names = await readdir(dir, { recursive: true, withFileTypes: true });
    const files = names
      .filter((name) => name.isFile())
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
    const stored = Buffer.concat(files);
    expect(stored.includes('shoal-shoal-pins.prompt-0')).toBe(true);
    expect(stored.includes(Buffer.from(packTokens(tokens.slice(0, 4))))).toBe(false);
  });

  it('is computed again after a restart of the whole fleet', async () => {
    await fleet.stop();
    fleet = await up();
    const { blocks } = await held();
    expect(await copiesAtHomes()).toEqual(new Array(blocks).fill(2));
    expect(await cachedTokens()).toBeGreaterThan(0);
  });

  it('frees its blocks once it is released', async () => {
    const [pin] = await pins();
    const release = () => fetch(`${fleet.url}/v1/cache/pin/${pin!.id}`, { method: 'DELETE' });
    expect([(await release()).status, (await release()).status, await pins()]).toEqual([200, 404, []]);
    for (let seed = 2_000; (await fleet.holders(prompt)).size > 0; seed += 1_000) await flood(seed);
  });

  it('is refused with the sizes if it does not fit', async () => {
    const long = recallPrompt(recallSheet(200, 3), '');
    const response = await fleet.post('/v1/cache/pin', { prompt: long });
    const message = expect.stringMatching(/needs \d+ blocks \(\d+ bytes\) on worker-\d, .* at most 16 blocks/);
    expect([response.status, await response.json()]).toMatchObject([
      409,
      { error: { code: 'pin_does_not_fit', message } },
    ]);
    expect((await fleet.post('/v1/cache/pin', { prompt: 'short' })).status).toBe(400);
  });
});
