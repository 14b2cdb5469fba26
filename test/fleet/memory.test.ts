import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pooled } from '../../bench/fleet/fleet-api.js';
import { synthesize } from '../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../bench/synth/spec.js';
import { Fleet } from './support/fleet.js';

const MiB = 2 ** 20;
/** The tiny model's K/V: 2 x 2 layers x 2 heads x 16 x 4 bytes a token. */
const TOKEN_BYTES = 512;
const PREFIX_TOKENS = 512;
const PREFIXES = 200;

describe('a worker under 2,000 requests with 200 prefixes and room for 20', () => {
  let dir: string;
  let fleet: Fleet;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-memory-'));
    await synthesize(SYNTH_PRESETS.tiny, join(dir, 'tiny'));
    const budget = 20 * PREFIX_TOKENS * TOKEN_BYTES;
    fleet = await Fleet.up(['--workers', '1', '--model', join(dir, 'tiny'), '--cache-bytes', String(budget)]);
  });

  afterAll(async () => {
    await fleet?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('stays within its model, its budgets and 250 MB', async () => {
    const prefixes = Array.from({ length: PREFIXES }, (_, p) =>
      Array.from({ length: PREFIX_TOKENS }, (_, i) => (p * 7919 + i * 104_729 + ((p * i) % 97)) % 511),
    );
    const ask = (i: number) => async () => {
      const prompt = [...prefixes[(i * 37) % PREFIXES]!, i % 511];
      const answer = await fleet.complete({ model: 'tiny', prompt, max_tokens: 2, ignore_eos: true });
      return answer.usage.prompt_tokens_details.cached_tokens;
    };
    const { pid } = fleet.ready.workers[0]!;
    const peaks: number[] = [];
    for (let from = 0; from < 2_000; from += 200) {
      await pooled(
        8,
        Array.from({ length: 200 }, (_, i) => ask(from + i)),
      );
      peaks.push(await residentBytes(pid));
      const [worker] = await fleet.workers();
      expect(worker!.blocks).toBeLessThanOrEqual((20 * PREFIX_TOKENS) / 64);
    }
    const modelBytes = (await readFile(join(dir, 'tiny/onnx/model.onnx'))).byteLength;
    const sequenceBytes = 8 * SYNTH_PRESETS.tiny.contextTokens * TOKEN_BYTES;
    const bound = modelBytes + 20 * PREFIX_TOKENS * TOKEN_BYTES + sequenceBytes + 250 * MiB;
    expect(Math.max(...peaks)).toBeLessThanOrEqual(bound);
  });
});

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]);
}
