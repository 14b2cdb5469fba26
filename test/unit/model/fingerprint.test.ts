import { createHash } from 'node:crypto';
import { appendFile, cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import type { KvLayout } from '../../../src/core/kv-layout.js';
import { modelFingerprint } from '../../../src/model/fingerprint.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { RECALL, scratchFolder } from './folders.js';

const layout: KvLayout = { layers: 4, kvHeads: 2, headDim: 64, blockTokens: 64, elementType: 'float32' };

let scratch: string;
beforeAll(async () => {
  scratch = await scratchFolder();
  await synthesize(SYNTH_PRESETS.tiny, join(scratch, 'tiny'), { inlineBytes: 0 });
});

const fingerprintOf = async (dir: string, of: KvLayout = layout) => modelFingerprint(await openModelFolder(dir), of);

describe('the fingerprint of a model', () => {
  it('of recall is the published one', async () => {
    expect(await fingerprintOf(RECALL)).toBe('8e860ce567bfac395bcd0e0e3eac097480899a5da431ba66da04d1a8fe564c63');
  });

  it('is SHA-256 over length-prefixed fields, as documented', async () => {
    const folder = join(scratch, 'tiny');
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
    const digestOf = async (name: string) => sha256(await readFile(join(folder, name)));
    const fields = [
      'shoal/model/1',
      await digestOf('onnx/model.onnx'),
      await digestOf('onnx/model.onnx_data'),
      await digestOf('tokenizer.json'),
      '4,2,64',
      'float32',
      '64',
    ].map((field) => Buffer.from(field));
    const encoded = fields.flatMap((field) => [Buffer.from(Uint32Array.of(field.length).buffer), field]);
    expect(await fingerprintOf(folder)).toBe(sha256(Buffer.concat(encoded)).toString('hex'));
  });

  it('differs if any part differs', async () => {
    const prints = [await fingerprintOf(join(scratch, 'tiny'))];
    for (const file of ['onnx/model.onnx_data', 'tokenizer.json']) {
      const dir = join(scratch, `changed-${prints.length}`);
      await cp(join(scratch, 'tiny'), dir, { recursive: true });
      await appendFile(join(dir, file), ' ');
      prints.push(await fingerprintOf(dir));
    }
    const changes: Partial<KvLayout>[] = [
      { layers: 5 },
      { kvHeads: 1 },
      { headDim: 32 },
      { blockTokens: 32 },
      { elementType: 'float16' },
    ];
    for (const change of changes) prints.push(await fingerprintOf(join(scratch, 'tiny'), { ...layout, ...change }));
    expect(new Set(prints).size).toBe(prints.length);
    for (const print of prints) expect(print).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not depend on the folder’s path or other files in it', async () => {
    const dir = join(scratch, 'elsewhere');
    await cp(join(scratch, 'tiny'), dir, { recursive: true });
    await appendFile(join(dir, 'README.md'), 'notes');
    expect(await fingerprintOf(dir)).toBe(await fingerprintOf(join(scratch, 'tiny')));
  });
});
