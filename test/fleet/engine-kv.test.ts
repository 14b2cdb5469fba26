import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { digestOf } from '../../src/digest.js';
import { InvalidRequest, Refused } from '../../src/errors.js';
import { KVClient } from '../../src/kv/kv-client.js';
import { elementsOf, type KVLayer, type KVTensor } from '../../src/kv/kv-tensor.js';
import { Fleet } from './support/fleet.js';

const SECRET = 'the secret of a fleet under test';
const BLOCK = 64;
const sheet = recallSheet(24, 11);
const prompt = recallPrompt(sheet, sheet.questions[0]!.question);

/** A worked example of docs/KV.md. */
function examplePython(): string {
  const page = readFileSync(new URL('../../docs/KV.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/```python\n([\s\S]*?)```/g)].map(([, code]) => code!);
  return blocks.find((code) => code.includes('def read_kv'))!;
}

/** `toEqual` takes seconds for megabytes. */
function digestsOf(layers: readonly KVLayer[]): string[] {
  return layers.flatMap(({ k, v }) => [k, v]).map(({ shape, bytes }) => `${shape} ${digestOf(bytes)}`);
}

function negated({ shape, bytes }: KVTensor): Buffer {
  const size = bytes.byteLength / elementsOf(shape);
  return Buffer.from(bytes).map((byte, at) => (at % size === size - 1 ? byte ^ 0x80 : byte)) as Buffer;
}

describe("the K/V of the fleet's own engine", () => {
  let fleet: Fleet;
  let kv: KVClient;
  let tokens: number[];
  let full: number;
  let layers: KVLayer[];
  let answer: string;

  beforeAll(async () => {
    fleet = await Fleet.up(['--workers', '2', '--object-bytes', '0'], { SHOAL_SECRET: SECRET });
    kv = new KVClient(fleet.url, { model: 'any', secret: SECRET });
    const first = await fleet.complete({ prompt, max_tokens: 8, temperature: 0 });
    answer = first.choices[0]!.text;
    const encoded = await fetch(`${fleet.url}/tokenize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt }),
    });
    ({ tokens } = (await encoded.json()) as { tokens: number[] });
    full = Math.floor(tokens.length / BLOCK) * BLOCK;
    while ((await kv.engine.longestPrefix(tokens)) < full);
    layers = [];
    for await (const layer of kv.engine.getLayers(tokens)) layers.push(layer);
  });

  afterAll(async () => {
    kv?.close();
    await fleet?.stop();
  });

  /** The coordinator has heard from the workers that they have the blocks. */
  const indexed = () => expect.poll(() => kv.engine.longestPrefix(tokens), { timeout: 20_000 }).toBe(full);

  it('is found by text, by token ids and by the key of its last block, as far as it was computed', async () => {
    const found = await kv.engine.find(prompt);
    expect(found.tokens).toBe(full);
    const key = found.keys.at(-1)!;
    for (const prefix of [tokens, { key }]) expect(await kv.engine.find(prefix)).toEqual(found);
    const longer = [...tokens.slice(0, full), ...new Array<number>(BLOCK).fill(tokens[0]!)];
    expect(await kv.engine.longestPrefix(longer)).toBe(full);
    expect(await kv.engine.longestPrefix([...tokens].reverse())).toBe(0);
    expect(await kv.engine.longestPrefix(tokens, { cacheSalt: 'of another' })).toBe(0);
    expect(await kv.engine.find({ key }, { cacheSalt: 'of another' })).toMatchObject({ tokens: 0, keys: [] });
    expect(await kv.engine.get({ key: 'f'.repeat(64) }, 0)).toBeNull();
  });

  it('is the same tensors layer by layer as all at once', async () => {
    for (const [index, layer] of layers.entries()) {
      expect(layer.k.shape[1]).toBe(full);
      expect(digestsOf([(await kv.engine.get(prompt, index))!])).toEqual(digestsOf([layer]));
    }
    expect(layers.length).toBeGreaterThan(1);
    expect(new Set(digestsOf(layers)).size).toBe(2 * layers.length);
  });

  it('is used by the engine after a member has written it, and is refused from anyone else, damaged, or of another model', async () => {
    const stranger = new KVClient(fleet.url, { model: 'any', secret: 'another secret of 16 letters' });
    await fleet.post('/reset_prefix_cache', {});
    await expect(stranger.engine.put(tokens, layers)).rejects.toThrow(Refused);
    await expect(kv.engine.put(tokens, layers, { fingerprint: '0'.repeat(64) })).rejects.toThrow(
      /fingerprint_mismatch/,
    );
    await expect(kv.engine.put(tokens, layers.slice(1))).rejects.toThrow(InvalidRequest);
    expect(await kv.engine.longestPrefix(tokens)).toBe(0);
    expect(await kv.engine.put(tokens, layers)).toBe(full);
    await indexed();
    const again = await fleet.complete({ prompt, max_tokens: 8, temperature: 0 });
    expect(again.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(full - BLOCK);
    expect(again.choices[0]!.text).toBe(answer);
    const read: KVLayer[] = [];
    for await (const layer of kv.engine.getLayers(prompt)) read.push(layer);
    expect(digestsOf(read)).toEqual(digestsOf(layers));
  });

  it('makes a difference: the engine answers otherwise with K/V that is not of the prompt', async () => {
    await fleet.post('/reset_prefix_cache', {});
    const wrong = layers.map(({ k, v }) => ({ k, v: { ...v, bytes: negated(v) } }));
    expect(await kv.engine.put(tokens, wrong)).toBe(full);
    await indexed();
    const other = await fleet.complete({ prompt, max_tokens: 8, temperature: 0 });
    expect(other.choices[0]!.text).not.toBe(answer);
    await fleet.post('/reset_prefix_cache', {});
  });

  it('goes both ways from Python, as docs/KV.md has it', async () => {
    await fleet.complete({ prompt, max_tokens: 8, temperature: 0 });
    await indexed();
    const program = `${examplePython()
      .replace('http://127.0.0.1:8080', fleet.url)
      .replace('the secret of the cluster', SECRET)}
import sys
tokens = json.loads(sys.argv[1])
head, data = read_kv({"tokens": tokens})
size = head["block_bytes"]
blocks = [data[at : at + size] for at in range(0, len(data), size)]
call("POST", "/reset_prefix_cache", b"{}")
gone, _ = read_kv({"tokens": tokens})
written = write_kv(tokens, head["fingerprint"], 0, blocks)
again, same = read_kv({"key": written["keys"][-1]})
while again["tokens"] < head["tokens"]:  # until the coordinator has heard of it
    again, same = read_kv({"key": written["keys"][-1]})
print(json.dumps([head["tokens"], gone["tokens"], written["blocks"], again["tokens"], same == data]))
`;
    const { stdout } = await promisify(execFile)('python3', ['-c', program, JSON.stringify(tokens)]);
    expect(JSON.parse(stdout)).toEqual([full, 0, full / BLOCK, full, true]);
  });
});
