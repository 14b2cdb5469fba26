import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { synthesize, synthModelFolder } from '../../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS, type SynthSpec } from '../../../../bench/synth/spec.js';
import { InvalidRequest } from '../../../../src/errors.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { graphSignature } from '../../../../src/model/graph-signature.js';
import { Tokenizer } from '../../../../src/model/tokenizer.js';
import { DecoderRun } from '../../model/decoder-run.js';
import { scratchFolder } from '../../model/folders.js';

const { tiny } = SYNTH_PRESETS;
let scratch: string;
let made = 0;

beforeAll(async () => {
  scratch = await scratchFolder();
});

async function make(changes: Partial<SynthSpec> = {}, options = {}): Promise<string> {
  const dir = join(scratch, `model-${made++}`);
  await synthesize({ ...tiny, ...changes }, dir, options);
  return dir;
}

async function open(dir: string): Promise<DecoderRun> {
  const folder = await openModelFolder(dir);
  return DecoderRun.open(folder.graphPath, graphSignature(folder.graph, folder.config, 64));
}

/** The SHA-256 digests of all files of a folder, by name. */
async function digests(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = await readFile(join(entry.parentPath, entry.name));
    found[entry.name] = createHash('sha256').update(bytes).digest('hex');
  }
  return found;
}

const prompt = Array.from({ length: 100 }, (_, i) => (i * 37 + 11) % 500);

describe('a synthetic model', () => {
  it('is the same, byte for byte, for the same spec', async () => {
    const first = await digests(await make());
    expect(await digests(await make())).toEqual(first);
    // If this changes, increment FORMAT in model-folder.ts, so that cached models are replaced.
    expect(first['model.onnx']).toMatchInlineSnapshot(
      `"731cae4ac1db513fd57267c9c406940281033da18b8df1dd7520816ef387f459"`,
    );
    expect(first['tokenizer.json']).toMatchInlineSnapshot(
      `"c233947f97175903eca75a4c61922b50345f71506dfc9d8cdd548387bc203504"`,
    );
  });

  it('differs for another seed', async () => {
    const other = await digests(await make({ seed: 2 }));
    const first = await digests(await make());
    expect(other['model.onnx']).not.toBe(first['model.onnx']);
    expect(other['tokenizer.json']).toBe(first['tokenizer.json']);
  });

  it('gives varied answers that depend on the whole prompt', async () => {
    const dir = await make();
    const run = await open(dir);
    const answer = await run.greedy(prompt, 30);
    expect(new Set(answer).size).toBeGreaterThan(15);
    const other = await open(dir);
    const changed = await other.greedy([prompt[0]!, 7, ...prompt.slice(2)], 30);
    expect(changed).not.toEqual(answer);
    await Promise.all([run.close(), other.close()]);
  });

  it('never ends by chance', async () => {
    const run = await open(await make());
    const { data } = await run.step(prompt);
    expect(data.at(-1)).toBe(0);
    expect(data.filter((logit) => logit === 0).length).toBe(1);
    await run.close();
  });

  it('computes the same with standard operators for attention, and in float16', async () => {
    const variants: Partial<SynthSpec>[] = [
      {},
      { attention: 'concat' },
      { dtype: 'float16' },
      { attention: 'concat', dtype: 'float16' },
    ];
    const logits: Float32Array[] = [];
    for (const variant of variants) {
      const run = await open(await make(variant));
      await run.step(prompt.slice(0, 60));
      logits.push((await run.step(prompt.slice(60))).data);
      await run.close();
    }
    const [reference] = logits;
    const furthest = logits.map((other) => Math.max(...other.map((logit, i) => Math.abs(logit - reference![i]!))));
    expect(furthest[1]).toBeLessThan(1e-4);
    expect(furthest[2]).toBeLessThan(0.05);
    expect(furthest[3]).toBeLessThan(0.05);
  });

  it('computes bit-identical logits, however its prompt is chunked', async () => {
    const dir = await make();
    const whole = await open(dir);
    const cut = await open(dir);
    const { data, dims } = await whole.step(prompt, 1);
    expect(dims).toEqual([1, 1, tiny.vocab]);
    for (let at = 0; at < 64; at += 16) await cut.step(prompt.slice(at, at + 16));
    expect((await cut.step(prompt.slice(64))).data).toEqual(data);
    await Promise.all([whole.close(), cut.close()]);
  });

  it('does not attend to masked tokens, with standard operators for attention', async () => {
    const dir = await make({ attention: 'concat' });
    const [plain, padded] = [await open(dir), await open(dir)];
    await padded.step([5, 6, 7]);
    padded.ignoreSoFar();
    const [expected, seen] = [await plain.step(prompt), await padded.step(prompt)];
    const furthest = Math.max(...seen.data.map((logit, i) => Math.abs(logit - expected.data[i]!)));
    expect(furthest).toBeLessThan(1e-4);
    await Promise.all([plain.close(), padded.close()]);
  });

  it('computes the same with external weights', async () => {
    const dir = await make({}, { inlineBytes: 0 });
    const [external, inline] = [await open(dir), await open(await make())];
    expect((await external.step(prompt)).data).toEqual((await inline.step(prompt)).data);
    await Promise.all([external.close(), inline.close()]);
  });

  it('has a tokenizer that decodes every id and encodes every text', async () => {
    for (const vocab of [257, 512, 8192, 30_000]) {
      const tokenizer = await Tokenizer.load(await openModelFolder(await make({ vocab, hidden: 8, ffn: 8 })));
      const texts = Array.from({ length: vocab }, (_, id) => tokenizer.tokenText(id));
      expect(new Set(texts).size).toBe(vocab);
      expect(texts.at(-1)).toBe('<|end|>');
      fc.assert(
        fc.property(fc.string({ unit: 'grapheme' }), (text) => tokenizer.decode(tokenizer.encode(text)) === text),
        { numRuns: 30 },
      );
    }
  });

  it.each([
    [{ layers: 0 }, 'layers'],
    [{ heads: 3 }, 'heads'],
    [{ headDim: 15 }, 'headDim'],
    [{ vocab: 256 }, 'vocab'],
    [{ dtype: 'int8' }, 'dtype'],
    [{ surplus: 1 }, ''],
  ])('is refused with the name of the field for a spec with %j', async (change, field) => {
    const spec = { ...tiny, ...change } as SynthSpec;
    const making = synthesize(spec, join(scratch, 'refused'));
    await expect(making).rejects.toBeInstanceOf(InvalidRequest);
    await expect(making).rejects.toMatchObject({ param: field });
  });
});

describe('a cached synthetic model', () => {
  it('is created once, however many callers there are', async () => {
    const cache = join(scratch, 'cache');
    const folders = await Promise.all(Array.from({ length: 4 }, () => synthModelFolder('tiny', cache)));
    const [folder] = folders;
    expect(new Set(folders).size).toBe(1);
    expect(basename(folder!)).toBe('tiny');
    expect(await readdir(cache)).toEqual([basename(dirname(folder!))]);
    expect(await digests(folder!)).toEqual(await digests(await make()));
    expect(await synthModelFolder('tiny', cache)).toBe(folder);
  });
});
