import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { SYNTH_ADAPTERS } from '../../../bench/synth/adapters.js';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { AdapterCatalogue } from '../../../coordinator/adapters/adapter-catalogue.js';
import { AdapterOverlay } from '../../../coordinator/adapters/adapter-overlay.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { SystemClock } from '../../../src/clock.js';
import { createLog } from '../../../src/log.js';
import { AdapterFolder } from '../../../src/model/adapter/adapter-folder.js';
import { type LoraInput, loraInputs } from '../../../src/model/adapter/lora-input.js';
import { openModelFolder } from '../../../src/model/folder.js';
import type { TrailEvent } from '../../../src/trail/entry.js';
import { saying } from './support/scripted-fleet.js';
import { MODEL, testServer } from './support/test-server.js';

const [A, B] = SYNTH_ADAPTERS;
const key = (name: string) => `${name}-key-of-enough-characters`;
const bearer = (name: string) => ({ authorization: `Bearer ${key(name)}` });

let model: string;
let inputs: readonly LoraInput[];

beforeAll(async () => {
  model = mkdtempSync(join(tmpdir(), 'shoal-catalogue-'));
  await synthesize({ ...SYNTH_PRESETS.tiny, layers: 1, vocab: 300, loraRank: 2 }, model);
  inputs = loraInputs((await openModelFolder(model)).graph);
});
afterAll(() => rmSync(model, { recursive: true, force: true }));

/** A coordinator's adapters, beside others of the same bucket and folder. */
class Rig {
  readonly dir = mkdtempSync(join(tmpdir(), 'shoal-adapters-'));
  readonly kv = new MemoryKeyValue();
  readonly trail: TrailEvent[] = [];
  readonly logged: string[] = [];

  constructor() {
    onTestFinished(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  put(adapter: string, name = adapter): void {
    copyFileSync(join(model, 'adapters', `${adapter}.onnx_adapter`), join(this.dir, `${name}.onnx_adapter`));
  }

  /** A catalogue that has looked at the folder once. */
  async catalogue(of = inputs): Promise<AdapterCatalogue> {
    const made = new AdapterCatalogue({
      folder: new AdapterFolder(this.dir),
      inputs: of,
      overlay: new AdapterOverlay(this.kv),
      clock: new SystemClock(),
      wallMs: () => 1_700_000_000_000,
      trail: { write: (entry) => this.trail.push(entry) },
      log: createLog({ level: 'info', write: (line) => this.logged.push(line) }),
    });
    await made.start();
    onTestFinished(() => made.stop());
    return made;
  }
}

const names = (catalogue: AdapterCatalogue) => catalogue.list().map(({ ref }) => ref.name);

describe('the adapters of a fleet', () => {
  it('are the files of a folder that fit the model; others are named in the log', async () => {
    const rig = new Rig();
    rig.put(A);
    rig.put(B, 'second');
    writeFileSync(join(rig.dir, 'broken.onnx_adapter'), 'no adapter');
    writeFileSync(join(rig.dir, 'readme.txt'), 'not meant');
    const catalogue = await rig.catalogue();
    expect(names(catalogue)).toEqual(['second', A]);
    const { ref, createdAt } = catalogue.find('second')!;
    expect(ref).toMatchObject({ file: 'second.onnx_adapter', fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(createdAt).toBe(1_700_000_000);
    expect(rig.logged.filter((line) => line.includes('cannot serve an adapter')).length).toBe(1);
    expect(rig.logged.join()).toContain('no identifier');
  });

  it('have other fingerprints once their files have other bytes', async () => {
    const rig = new Rig();
    rig.put(A, 'x');
    const catalogue = await rig.catalogue();
    const before = catalogue.find('x')!.ref.fingerprint;
    rmSync(join(rig.dir, 'x.onnx_adapter'));
    rig.put(B, 'x');
    await catalogue.look();
    expect(catalogue.find('x')!.ref.fingerprint).not.toBe(before);
  });

  it('that operators load and unload are so for all coordinators, and after a restart', async () => {
    const rig = new Rig();
    rig.put(A);
    rig.put(B);
    const [one, other] = [await rig.catalogue(), await rig.catalogue()];
    await one.load('new', `${A}.onnx_adapter`);
    expect(await one.unload(B)).toBe(true);
    expect(await one.unload(B)).toBe(false);
    await other.look();
    expect([names(one), names(other), names(await rig.catalogue())]).toEqual([
      ['new', A],
      ['new', A],
      ['new', A],
    ]);
    expect(one.find('new')!.ref.fingerprint).toBe(one.find(A)!.ref.fingerprint);
    await other.load(B, join(rig.dir, `${B}.onnx_adapter`));
    expect(names(other)).toEqual(['new', A, B]);
    expect(rig.trail.map((entry) => entry.event)).toEqual(['adapter_loaded', 'adapter_unloaded', 'adapter_loaded']);
  });

  it.each([
    ['x', '../x.onnx_adapter', 'lora_path: must name a file'],
    ['x', '/etc/passwd', 'lora_path: must name a file'],
    ['x', 'missing.onnx_adapter', 'lora_path: there is no adapter missing.onnx_adapter'],
    ['x', 'broken.onnx_adapter', 'lora_path: the file has no identifier'],
    ['a/b', `${A}.onnx_adapter`, 'lora_name: an adapter'],
  ])('are not loaded as %s from %s', async (name, path, message) => {
    const rig = new Rig();
    rig.put(A);
    writeFileSync(join(rig.dir, 'broken.onnx_adapter'), 'no adapter');
    const catalogue = await rig.catalogue();
    await expect(catalogue.load(name, path)).rejects.toThrow(message);
    expect(names(catalogue)).toEqual([A]);
  });

  it('stay as they were while NATS is away', async () => {
    const rig = new Rig();
    rig.put(A);
    const catalogue = await rig.catalogue();
    await catalogue.load('new', `${A}.onnx_adapter`);
    rig.kv.get = () => Promise.reject(new Error('away'));
    await catalogue.look();
    expect(names(catalogue)).toEqual(['new', A]);
    await expect(catalogue.unload('new')).rejects.toThrow('away');
  });

  it('are none of a model whose graph takes none', async () => {
    const rig = new Rig();
    rig.put(A);
    const catalogue = await rig.catalogue([]);
    expect(names(catalogue)).toEqual([]);
    await expect(catalogue.load('x', `${A}.onnx_adapter`)).rejects.toThrow('the graph of this model takes no adapters');
  });
});

describe('a request', () => {
  const open = async (keys: string | null = null) => {
    const rig = new Rig();
    rig.put(A);
    rig.put(B);
    const catalogue = await rig.catalogue();
    const keysFile = keys === null ? null : join(rig.dir, 'keys.yaml');
    if (keysFile !== null) writeFileSync(keysFile, keys!);
    const server = await testServer({ model: { ...MODEL, adapters: catalogue }, adapters: catalogue, keysFile });
    server.fleet.script = () => saying([]);
    return { ...server, catalogue };
  };

  it('chooses an adapter by its model, and its answer says so', async () => {
    const { post, fleet, catalogue } = await open();
    for (const [path, body] of [
      ['/v1/completions', { prompt: 'x' }],
      ['/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }] }],
    ] as const) {
      const answer = await (await post(path, { ...body, model: A })).json();
      expect(answer).toMatchObject({ model: A });
      expect(fleet.asked.at(-1)!.request.adapter).toEqual(catalogue.find(A)!.ref);
      expect(await (await post(path, { ...body, model: 'recall' })).json()).toMatchObject({ model: 'recall' });
      expect(fleet.asked.at(-1)!.request.adapter ?? null).toBeNull();
    }
    const unknown = await post('/v1/completions', { prompt: 'x', model: 'nobody' });
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: { code: 'model_not_found' } }]);
  });

  it('lists adapters with their parent', async () => {
    const { url } = await open();
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: object[] };
    expect(data.slice(-2)).toMatchObject([
      { id: A, parent: 'recall', root: `${A}.onnx_adapter`, created: 1_700_000_000 },
      { id: B, parent: 'recall' },
    ]);
    expect(data[0]).toMatchObject({ id: 'recall', parent: null });
    expect(await (await fetch(`${url}/v1/models/${B}`)).json()).toMatchObject({ id: B, parent: 'recall' });
  });

  it('needs a grant of the adapter itself, and an operator to load and unload', async () => {
    const entry = (id: string, fields: string) => `  - { id: ${id}, secret: ${key(id)}, tenant: t-${id}${fields} }\n`;
    const keys = `keys:\n${entry('ann', `, models: [${A}]`)}${entry('bob', ', models: [recall]')}${entry('olaf', ', role: operator')}`;
    const { url, post } = await open(keys);
    const status = async (who: string, name: string) =>
      (await post('/v1/completions', { prompt: 'x', model: name }, bearer(who))).status;
    expect([await status('ann', A), await status('ann', B), await status('ann', 'recall')]).toEqual([200, 403, 403]);
    expect([await status('bob', A), await status('bob', 'recall'), await status('olaf', B)]).toEqual([403, 200, 200]);
    const listed = async (who: string) => {
      const answer = await (await fetch(`${url}/v1/models`, { headers: bearer(who) })).json();
      return (answer as { data: { id: string }[] }).data.map(({ id }) => id);
    };
    expect([await listed('ann'), await listed('bob')]).toEqual([[A], ['recall', 'shoal/recall']]);
    const load = { lora_name: 'new', lora_path: `${A}.onnx_adapter` };
    expect((await post('/v1/load_lora_adapter', load, bearer('ann'))).status).toBe(403);
    expect((await post('/v1/unload_lora_adapter', { lora_name: A }, bearer('ann'))).status).toBe(403);
    const loaded = await post('/v1/load_lora_adapter', load, bearer('olaf'));
    expect([loaded.status, await loaded.text()]).toEqual([200, "Success: LoRA adapter 'new' added successfully."]);
    expect(await status('olaf', 'new')).toBe(200);
    const unloaded = await post('/v1/unload_lora_adapter', { lora_name: 'new' }, bearer('olaf'));
    expect([unloaded.status, await unloaded.text()]).toEqual([
      200,
      "Success: LoRA adapter 'new' removed successfully.",
    ]);
    expect(await status('olaf', 'new')).toBe(404);
  });

  it('cannot take the name of the model, or one that is taken unless it says so', async () => {
    const { post } = await open();
    const load = (name: string, rest = {}) =>
      post('/v1/load_lora_adapter', { lora_name: name, lora_path: `${B}.onnx_adapter`, ...rest });
    for (const name of ['recall', A]) expect((await load(name)).status).toBe(400);
    expect((await load('recall', { load_inplace: true })).status).toBe(400);
    expect((await load(A, { load_inplace: true })).status).toBe(200);
  });

  it('is the model of a pin that names it, which cannot publish', async () => {
    const { post, retentions } = await open();
    const asked = { prompt: 'x '.repeat(200), model: A };
    expect((await post('/v1/cache/pin', asked)).status).toBe(200);
    expect(retentions.orders).toMatchObject([{ adapter: { name: A } }]);
    const response = await post('/v1/cache/pin', { ...asked, share: 'public' });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: 'share' } }]);
  });
});
