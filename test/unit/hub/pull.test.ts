import { chmod, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { loadModelGraph, type ModelGraph } from '../../../src/engine/model-graph.js';
import { Corrupt, Refused, Unavailable } from '../../../src/errors.js';
import { HubCache } from '../../../src/hub/hub-cache.js';
import type { PullEvent } from '../../../src/hub/pull-ports.js';
import { modelFingerprint } from '../../../src/model/fingerprint.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { OrtRuntime } from '../../../src/ort/runtime.js';
import { withExternalWeights } from '../../support/external-weights.js';
import { GRANTED, gitSha1, sha256 } from '../../support/hub-server.js';
import { RECALL } from '../model/folders.js';
import { filesIn, hubRig, ID, tinyModel } from './rig.js';

const rig = hubRig();
const plain = async (): Promise<Record<string, Uint8Array | string>> => {
  const { 'onnx/model.onnx': graph, ...others } = await tinyModel();
  return {
    ...others,
    'onnx/model.onnx': graph!,
    'README.md': '# tiny',
    'pytorch_model.bin': 'large',
    '.gitattributes': '',
  };
};

async function load(folder: ModelFolder): Promise<ModelGraph['names']> {
  const runtime = OrtRuntime.open();
  try {
    const graph = await loadModelGraph(runtime, folder, { threads: 1, allowSpinning: false });
    graph.release();
    return graph.names;
  } finally {
    runtime.release();
  }
}

describe('a model of the hub', () => {
  it('is downloaded into the cache layout of the hub: only the files that are needed', async () => {
    const files = await plain();
    const commit = rig.hub.add(ID, files);
    const { dir, graph } = await rig.pull();
    expect(dir).toBe(join(rig.cacheDir, 'models--shoal--tiny-test', 'snapshots', commit));
    expect(graph).toBe('onnx/model.onnx');
    expect(await readFile(join(rig.cacheDir, 'models--shoal--tiny-test', 'refs', 'main'), 'utf8')).toBe(commit);
    expect(await readlink(join(dir, 'onnx', 'model.onnx'))).toBe(
      `../../../blobs/${sha256(files['onnx/model.onnx'] as Uint8Array)}`,
    );
    expect(await readlink(join(dir, 'config.json'))).toBe(`../../blobs/${gitSha1(files['config.json'] as Uint8Array)}`);
    const data = files['onnx/model.onnx_data'] as Uint8Array;
    expect(sha256(await readFile(join(dir, 'onnx', 'model.onnx_data')))).toBe(sha256(data));
    expect(rig.hub.filesAsked).not.toContain('README.md');
    expect(rig.hub.filesAsked).not.toContain('pytorch_model.bin');
  });

  it('has its template for chats with tools', async () => {
    const templates = { 'chat_template.jinja': 'plain', 'additional_chat_templates/tool_use.jinja': 'tools' };
    rig.hub.add(ID, { ...(await plain()), ...templates, 'additional_chat_templates/rag.jinja': 'documents' });
    const folder = await openModelFolder((await rig.pull()).dir);
    expect(folder).toMatchObject({ chatTemplate: 'plain', toolTemplate: 'tools' });
    expect(rig.hub.filesAsked).not.toContain('additional_chat_templates/rag.jinja');
  });

  it.each([
    ['a file', 'ENOTDIR', async (cacheDir: string) => writeFile(cacheDir, '')],
    ['a folder in which none can be made', 'ENOENT', async (cacheDir: string) => symlink('/proc', cacheDir)],
    [
      'one with a folder in place of the file of a revision',
      'EISDIR',
      async (cacheDir: string) =>
        mkdir(join(cacheDir, 'models--shoal--tiny-test', 'refs', 'main', 'x'), { recursive: true }),
    ],
  ])('is refused with the cause and a remedy if the cache is %s', async (_, code, spoil) => {
    rig.hub.add(ID, await plain());
    await rm(rig.cacheDir, { recursive: true, force: true });
    await spoil(rig.cacheDir);
    const pulling = rig.pull();
    await expect(pulling).rejects.toThrow(Refused);
    await expect(pulling).rejects.toThrow(`cannot use the cache of the hub in ${rig.cacheDir}: ${code}: `);
    await expect(pulling).rejects.toThrow('or set HF_HUB_CACHE to a folder');
  });

  it('opens and loads from the links of the cache, and is named like its repository', async () => {
    rig.hub.add(ID, await plain());
    const folder = await openModelFolder((await rig.pull()).dir);
    expect(folder.name).toBe(ID);
    await load(folder);
  });

  it.each([
    ['one file', ['model.onnx_data']],
    ['several files', ['model.onnx_data', 'model.onnx_data_1', 'model.onnx_data_2']],
  ])('whose graph is edited loads its weights from %s behind the links', async (_, names) => {
    const files = await filesIn(RECALL);
    const { model, files: weights } = withExternalWeights(files['onnx/model.onnx']!, names);
    const data = Object.fromEntries([...weights].map(([name, bytes]) => [`onnx/${name}`, bytes]));
    rig.hub.add(ID, { ...files, ...data, 'onnx/model.onnx': model });
    const folder = await openModelFolder((await rig.pull()).dir);
    expect(folder.externalDataFiles.map((path) => basename(path))).toEqual(names);
    expect((await load(folder)).logitsToKeep).not.toBeNull();
  });

  it('is refused without a tokenizer before its weights are downloaded', async () => {
    const { 'tokenizer.json': _, ...files } = await plain();
    rig.hub.add(ID, files);
    await expect(rig.pull()).rejects.toThrow(/tokenizer\.json is missing/);
    expect(rig.hub.filesAsked).not.toContain('onnx/model.onnx');
  });

  it('is used from a cache that has all of it and cannot be written, while the hub is there', async () => {
    rig.hub.add(ID, await plain());
    const { commit } = await rig.pull();
    const ref = join(rig.cacheDir, 'models--shoal--tiny-test', 'refs', 'main');
    const written = (await stat(ref)).ino;
    expect((await rig.pull()).commit).toBe(commit);
    // A revision that is written again is another file.
    expect((await stat(ref)).ino).toBe(written);
  });

  it('is used from a cache that has all of it but the name of the revision, and cannot be written', async () => {
    rig.hub.add(ID, await plain());
    const online = await rig.pull();
    const { folder, refs } = new HubCache(rig.cacheDir, ID).places;
    await rm(refs, { recursive: true });
    const paths = await readdir(rig.cacheDir, { recursive: true, withFileTypes: true });
    const folders = paths.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    for (const dir of [rig.cacheDir, ...folders]) await chmod(dir, 0o555);
    // The administrator may write anywhere.
    const isAdministrator = process.geteuid!() === 0;
    if (isAdministrator) process.seteuid!(65_534);
    try {
      expect(await rig.pull()).toEqual(online);
    } finally {
      if (isAdministrator) process.seteuid!(0);
      for (const dir of [rig.cacheDir, ...folders]) await chmod(dir, 0o755);
    }
    expect(await readdir(folder)).not.toContain('refs');
  });

  it('is not downloaded again, and only what changed of a new commit is', async () => {
    const files = await plain();
    rig.hub.add(ID, files);
    await rig.pull();
    const asked = rig.hub.filesAsked.length;
    await rig.pull();
    expect(rig.hub.filesAsked).toHaveLength(asked);
    rig.hub.add(ID, { ...files, 'generation_config.json': '{"temperature":0.5,"do_sample":true}' });
    await rig.pull();
    expect(rig.hub.filesAsked.slice(asked)).toEqual(['generation_config.json']);
  });

  it('that another program downloaded is found, and what is missing of it is added', async () => {
    const files = await plain();
    const commit = rig.hub.add(ID, files);
    const { places } = new HubCache(rig.cacheDir, ID);
    for (const path of ['config.json', 'onnx/model.onnx_data']) {
      const bytes = files[path] as Uint8Array;
      const name = path.endsWith('.json') ? gitSha1(bytes) : sha256(bytes);
      await mkdir(places.blobs, { recursive: true });
      await mkdir(dirname(join(places.snapshots, commit, path)), { recursive: true });
      await writeFile(join(places.blobs, name), bytes);
      await symlink(join(places.blobs, name), join(places.snapshots, commit, path));
    }
    const { dir } = await rig.pull();
    expect(rig.hub.filesAsked).not.toContain('config.json');
    expect(rig.hub.filesAsked).not.toContain('onnx/model.onnx_data');
    await openModelFolder(dir);
  });

  it('has a revision: a branch with a slash, or a commit', async () => {
    const commit = rig.hub.add(ID, await plain());
    await rig.pull(`${ID}@refs/pr/1`);
    expect(await new HubCache(rig.cacheDir, ID).commitOf('refs/pr/1')).toBe(commit);
    expect((await rig.pull(`${ID}@${commit}`)).commit).toBe(commit);
    await expect(rig.pull(`${ID}@v9`)).rejects.toThrow(/has no revision v9/);
  });

  it('is answered from the cache, without a request, where HF_HUB_OFFLINE is set', async () => {
    rig.hub.add(ID, await plain());
    const online = await rig.pull();
    const { length } = rig.hub.requests;
    expect(await rig.pull(ID, { environment: { HF_HUB_OFFLINE: '1' } })).toMatchObject({ dir: online.dir });
    expect(rig.hub.requests).toHaveLength(length);
  });

  it('that is not in the cache is refused offline, with the command that gets it', async () => {
    rig.hub.add(ID, await plain());
    const offline = { environment: { HF_HUB_OFFLINE: 'yes' } };
    await expect(rig.pull(ID, offline)).rejects.toThrow(
      /HF_HUB_OFFLINE is set; unset it, and run: shoal model pull shoal\/tiny-test/,
    );
    const { dir } = await rig.pull();
    await rm(join(dir, 'onnx', 'model.onnx_data'));
    await expect(rig.pull(ID, offline)).rejects.toThrow(/onnx\/model\.onnx_data is missing/);
    await expect(rig.pull(ID, { ...offline, wish: { dtype: 'q4' } })).rejects.toThrow(
      /model_q4\.onnx is missing, which --dtype q4 names; set --dtype fp32 or --model-file FILE: there are onnx\/model\.onnx$/,
    );
  });

  it('is taken from the cache if the hub is away, and refused with the reason if it is not there', async () => {
    rig.hub.add(ID, await plain());
    const online = await rig.pull();
    await rig.hub.stop();
    expect((await rig.pull()).dir).toBe(online.dir);
    expect(rig.events.at(-1)).toMatchObject({
      type: 'from-cache',
      why: expect.stringMatching(/cannot reach 127\.0\.0\.1/),
    });
    const clock = new SimulatedClock();
    const onEvent = (event: PullEvent) =>
      void (event.type === 'retrying' && setImmediate(() => clock.advance(event.inMs)));
    await expect(rig.pull('shoal/other', { clock, onEvent })).rejects.toThrow(
      /cannot reach 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
    );
  });

  it('may be one of several graphs, by type or by file', async () => {
    const files = await plain();
    const graph = files['onnx/model.onnx']!;
    rig.hub.add(ID, { ...files, 'onnx/model_q4.onnx': graph, 'onnx/model_fp16.onnx': graph });
    expect(await rig.pull()).toMatchObject({
      graph: 'onnx/model_q4.onnx',
      why: expect.stringMatching(/best for cpu of fp32, fp16, q4/),
    });
    expect(await rig.pull(ID, { wish: { device: 'cuda' } })).toMatchObject({ graph: 'onnx/model_fp16.onnx' });
    expect(await rig.pull(ID, { wish: { file: 'onnx/model.onnx' } })).toMatchObject({ graph: 'onnx/model.onnx' });
    const missing = rig.pull(ID, { wish: { dtype: 'bnb4' } });
    await expect(missing).rejects.toThrow(
      /model_bnb4\.onnx is missing, which --dtype bnb4 names; set --dtype fp32\|fp16\|q4/,
    );
    await expect(missing).rejects.toBeInstanceOf(Refused);
  });

  it('of the genai builder is taken from its folder in the repository', async () => {
    const {
      'onnx/model.onnx': graph,
      'onnx/model.onnx_data': data,
      'config.json': _,
      'generation_config.json': __,
      ...others
    } = await plain();
    const decoder = {
      head_size: 16,
      hidden_size: 64,
      num_attention_heads: 4,
      num_hidden_layers: 2,
      num_key_value_heads: 2,
    };
    const genai = JSON.stringify({
      model: { type: 'llama', context_length: 512, vocab_size: 512, eos_token_id: [2, 3], decoder },
    });
    const inFolder = Object.entries(others).map(([path, bytes]) => [`cpu/int4/${path}`, bytes]);
    rig.hub.add(ID, {
      ...Object.fromEntries(inFolder),
      ...{ 'cpu/int4/genai_config.json': genai, 'cpu/int4/model.onnx': graph!, 'cpu/int4/model.onnx_data': data! },
    });
    const { dir, graph: file } = await rig.pull(ID, { wish: { file: 'cpu/int4/model.onnx' } });
    const folder = await openModelFolder(dir, { file });
    expect(folder).toMatchObject({ name: ID, config: { contextTokens: 512, kvHeads: 2 }, eosTokenIds: [2, 3, 511] });
  });
});

describe('a cached file with another byte than the hub listed', () => {
  it.each([
    ['onnx/model.onnx_data', sha256],
    ['tokenizer.json', gitSha1],
  ])('is found where it is read as a whole: %s', async (path, nameOf) => {
    const files = await plain();
    rig.hub.add(ID, files);
    const { dir } = await rig.pull();
    const blob = join(new HubCache(rig.cacheDir, ID).places.blobs, nameOf(files[path] as Uint8Array));
    const bytes = await readFile(blob);
    bytes[bytes.byteLength >> 1]! ^= 1;
    await writeFile(blob, bytes);
    const layout = { layers: 2, kvHeads: 2, headDim: 16, blockTokens: 64, elementType: 'float32' } as const;
    const damaged = modelFingerprint(await openModelFolder(dir), layout);
    await expect(damaged).rejects.toThrow(`cannot use ${blob}: its bytes have another digest than its name`);
    await expect(damaged).rejects.toBeInstanceOf(Corrupt);
    // The advice of the message helps.
    await rm(blob);
    await modelFingerprint(await openModelFolder((await rig.pull()).dir), layout);
  });

  it('is found in a configuration', async () => {
    const files = await plain();
    rig.hub.add(ID, files);
    const { dir } = await rig.pull();
    const blob = join(new HubCache(rig.cacheDir, ID).places.blobs, gitSha1(files['config.json'] as Uint8Array));
    const text = await readFile(blob, 'utf8');
    await writeFile(blob, text.replace(/1/, '2'));
    await expect(openModelFolder(dir)).rejects.toThrow(`cannot use ${blob}`);
  });
});

describe('access to a model', () => {
  it('is refused with the fix where it is gated, private, missing, or no model', async () => {
    rig.hub.add(ID, await plain(), 'gated');
    rig.hub.add('shoal/hidden', await plain(), 'private');
    rig.hub.add('shoal/no-onnx', { 'config.json': '{}', 'model.safetensors': 'x' });
    const stranger = { environment: { HF_TOKEN: 'hf_stranger' } };
    await expect(rig.pull()).rejects.toThrow(
      /access to it is gated; ask for access at .*shoal\/tiny-test and set HF_TOKEN/,
    );
    await expect(rig.pull(ID, stranger)).rejects.toThrow(/gated; ask for access at .* with the account of HF_TOKEN/);
    await expect(rig.pull('shoal/hidden')).rejects.toThrow(
      /no such model.*set HF_TOKEN if it is private, or write \.\/shoal\/hidden/,
    );
    await expect(rig.pull('shoal/none', stranger)).rejects.toThrow(/no such model.*check that the account of HF_TOKEN/);
    await expect(rig.pull('shoal/no-onnx')).rejects.toThrow(/export the model to ONNX/);
    for (const id of [ID, 'shoal/hidden', 'shoal/none']) await expect(rig.pull(id)).rejects.toBeInstanceOf(Refused);
    await expect(rig.pull('shoal/none', { environment: { HF_HUB_OFFLINE: '1' } })).rejects.toBeInstanceOf(Unavailable);
  });

  it.each([
    [401, 'RepoNotFound', 'Invalid credentials in Authorization header', /does not accept the token of HF_TOKEN/],
    [403, null, null, /the token of HF_TOKEN may not read it; give the token the right.*if it is gated$/],
    [403, null, 'needs "repo.read" scope', /may not read it.*; the hub says: "needs "repo\.read" scope"$/],
    [403, 'DisabledRepo', 'Access to this resource is disabled.', /has disabled access to it; see .*shoal\/tiny-test/],
    [403, 'GatedRepo', null, /access to it is gated/],
  ])('is refused by status %i with code %s and the words %s for what it is', async (status, code, words, expected) => {
    rig.hub.add(ID, await plain());
    const headers = {
      ...(code !== null && { 'x-error-code': code }),
      ...(words !== null && { 'x-error-message': words }),
    };
    rig.hub.faults.push({ url: '/revision/', kind: 'status', status, headers });
    const refused = rig.pull(ID, { environment: { HF_TOKEN: 'hf_some' } });
    await expect(refused).rejects.toThrow(expected);
    await expect(refused).rejects.toBeInstanceOf(Refused);
  });

  it('that is forbidden without a token, perhaps by a proxy, is told so', async () => {
    rig.hub.faults.push({ url: '/revision/', kind: 'status', status: 403 });
    await expect(rig.pull()).rejects.toThrow(/not shown without a token, or a proxy forbids it; .* set HF_TOKEN/);
  });

  it('to the store of large files is asked for again where its signature is not accepted', async () => {
    const files = await plain();
    rig.hub.add(ID, files);
    const store = sha256(files['onnx/model.onnx_data'] as Uint8Array);
    rig.hub.faults.push({ url: store, kind: 'status', status: 403 });
    const clock = new SimulatedClock();
    const onEvent = (event: PullEvent) =>
      void (event.type === 'retrying' && setImmediate(() => clock.advance(event.inMs)));
    await rig.pull(ID, { clock, onEvent });
    expect(rig.events).toContainEqual(
      expect.objectContaining({
        type: 'retrying',
        why: expect.stringMatching(/redirects, answered with HTTP status 403/),
      }),
    );
  });

  it('is given to a token, which goes to the hub alone and not to the store that it redirects to', async () => {
    rig.hub.add(ID, await plain(), 'gated');
    await rig.pull(ID, { environment: { HF_TOKEN: GRANTED } });
    const store = rig.hub.requests.filter(({ host }) => !rig.hub.endpoint.endsWith(host));
    expect(store.length).toBeGreaterThan(0);
    expect(store.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    const own = rig.hub.requests.filter(({ host }) => rig.hub.endpoint.endsWith(host));
    expect(own.every(({ authorization }) => authorization === `Bearer ${GRANTED}`)).toBe(true);
  });
});

describe('a hub that lies', () => {
  it.each(['../../escaped', '/etc/escaped', 'onnx/../../x'])('cannot write to %s', async (path) => {
    rig.hub.add(ID, { ...(await plain()), [path]: 'x' });
    await expect(rig.pull()).rejects.toThrow(/the path or the digest of .* is invalid/);
  });

  it('cannot place weights outside of the folder', async () => {
    const { 'onnx/model.onnx': graph, ...others } = await plain();
    const text = Buffer.from(graph as Uint8Array)
      .toString('latin1')
      .replaceAll('model.onnx_data', '../../../secret');
    rig.hub.add(ID, { ...others, 'onnx/model.onnx': Buffer.from(text, 'latin1') });
    await expect(rig.pull()).rejects.toThrow(/outside of its folder/);
  });
});
