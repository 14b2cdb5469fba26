import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkedConfig, settledConfig } from '../../../cli/hub-model.js';
import { run } from '../../../cli/program.js';
import { SystemClock } from '../../../src/clock.js';
import { readUpConfig, readWorkerConfig } from '../../../src/config/config.js';
import { namedHubId } from '../../../src/config/model-folder.js';
import { repositoryPlaces } from '../../../src/hub/cache-layout.js';
import { hubRig, ID, tinyModel } from '../hub/rig.js';
import { scratchFolder } from '../model/folders.js';

const rig = hubRig();
const environment = (more: Record<string, string> = {}) => ({
  HF_ENDPOINT: rig.hub.endpoint,
  HF_HUB_CACHE: rig.cacheDir,
  HOME: '/nowhere',
  SHOAL_MODEL: ID,
  SHOAL_SECRET: 'a secret of the whole fleet',
  ...more,
});
const ports = () => ({ clock: new SystemClock(), signal: new AbortController().signal, onEvent: () => {} });

async function shoal(args: string[], more: Record<string, string> = {}) {
  const output = { out: '', err: '' };
  const io = {
    out: (text: string) => {
      output.out += text;
    },
    err: (text: string) => {
      output.err += text;
    },
  };
  const { SHOAL_MODEL: _, SHOAL_SECRET: __, ...kept } = environment(more);
  return { code: await run(args, { environment: kept, io }), ...output };
}

describe('a command whose model is an id on the hub', () => {
  it('is checked before anything is downloaded', () => {
    const wrong = { flags: { port: 'none' }, environment: environment() };
    expect(() => checkedConfig('up', wrong, readUpConfig)).toThrow(/--port/);
    const noToken = { flags: {}, environment: environment({ HF_ENDPOINT: 'ftp://hub' }) };
    expect(() => checkedConfig('worker', noToken, readWorkerConfig)).toThrow(/HF_ENDPOINT/);
    expect(rig.hub.requests).toEqual([]);
  });

  it('gets the snapshot as its model, the graph for its device, and the name of the repository', async () => {
    const files = await tinyModel();
    const commit = rig.hub.add(ID, { ...files, 'onnx/model_fp16.onnx': files['onnx/model.onnx']! });
    const source = { flags: { workers: '2' }, environment: environment() };
    const { config, why } = await settledConfig('up', source, readUpConfig, 'webgpu', ports());
    expect(config.modelName).toBe(ID);
    expect(config.modelDir).toBe(join(rig.cacheDir, 'models--shoal--tiny-test', 'snapshots', commit));
    expect(config.worker).toMatchObject({ SHOAL_MODEL: config.modelDir, SHOAL_MODEL_FILE: 'onnx/model_fp16.onnx' });
    expect(config.coordinator).toMatchObject({ SHOAL_MODEL_FILE: 'onnx/model_fp16.onnx', SHOAL_DTYPE: 'auto' });
    expect(why).toMatch(/best for webgpu/);
  });

  it('takes a folder of the same name first, and a path never for an id', async () => {
    const dir = await scratchFolder();
    const before = process.cwd();
    await mkdir(join(dir, 'org', 'name'), { recursive: true });
    process.chdir(dir);
    try {
      expect(namedHubId('org/name')).toBeNull();
      expect(namedHubId('org/other')).toEqual({ repository: 'org/other', revision: 'main' });
      for (const path of ['./org/other', '/org/other', 'org', null]) expect(namedHubId(path)).toBeNull();
    } finally {
      process.chdir(before);
    }
  });
});

describe('shoal model', () => {
  it('pulls no model whose texts a coordinator could not read', async () => {
    const files = await tinyModel();
    const config = JSON.parse(Buffer.from(files['tokenizer_config.json']!).toString());
    const withTemplate = (chat_template: string) => ({
      ...files,
      'tokenizer_config.json': JSON.stringify({ ...config, chat_template }),
    });
    rig.hub.add(ID, withTemplate("{% if 'a-b<' in messages[0].content %}"));
    expect(await shoal(['model', 'pull', ID])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/cannot read the chat template in /),
    });
    rig.hub.add(ID, withTemplate("{% if '<function-name>' in messages[0].content %}x{% endif %}"));
    expect(await shoal(['model', 'pull', ID])).toMatchObject({ code: 0 });
  });

  it('removes one of two revisions of a commit and keeps the files for the other one', async () => {
    const commit = rig.hub.add(ID, await tinyModel());
    for (const id of [ID, `${ID}@refs/pr/1`]) await shoal(['model', 'pull', id]);
    const offline = { HF_HUB_OFFLINE: '1' };
    expect(await shoal(['model', 'rm', `${ID}@refs/pr/1`])).toMatchObject({
      code: 0,
      out: `removed ${ID}@refs/pr/1; its files stay, since main is the same commit; to remove them: shoal model rm ${ID}@${commit}\n`,
    });
    expect(await shoal(['model', 'pull', `${ID}@refs/pr/1`], offline)).toMatchObject({ code: 1 });
    expect(await shoal(['model', 'pull', ID], offline)).toMatchObject({ code: 0 });
    expect((await shoal(['model', 'rm', `${ID}@${commit}`])).out).toMatch(/^removed .*, which was also main, \d/);
    expect(await shoal(['model', 'pull', ID], offline)).toMatchObject({ code: 1 });
  });

  it('removes what is unfinished with a revision, also the parts of other programs', async () => {
    const files = await tinyModel();
    rig.hub.add(ID, files);
    await shoal(['model', 'pull', `${ID}@refs/pr/1`]);
    const second = rig.hub.add(ID, { ...files, 'generation_config.json': '{}' });
    await shoal(['model', 'pull', ID]);
    const { blobs } = repositoryPlaces(rig.cacheDir, ID);
    const digest = 'ab'.repeat(32);
    for (const name of [`${digest}.incomplete`, `${digest}.0a1b2c3d.incomplete`])
      await writeFile(join(blobs, name), '');
    expect(await shoal(['model', 'rm', `${ID}@refs/pr/1`])).toMatchObject({ code: 0 });
    expect((await readdir(blobs)).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    expect(await shoal(['model', 'rm', `${ID}@${second}`])).toMatchObject({ code: 0 });
  });

  it('pulls, shows, lists and removes a model, or one revision of it', async () => {
    const files = await tinyModel();
    const first = rig.hub.add(ID, files);
    expect((await shoal(['model', 'info', ID])).out).toMatch(
      /cached +no; to download it: shoal model pull[\s\S]*graph +onnx\/model\.onnx/,
    );
    const pulled = await shoal(['model', 'pull', ID, '--json']);
    expect(JSON.parse(pulled.out)).toMatchObject({ id: ID, commit: first, graph: 'onnx/model.onnx' });
    const second = rig.hub.add(ID, { ...files, 'generation_config.json': '{}' });
    await shoal(['model', 'pull', ID]);
    const listed = JSON.parse((await shoal(['model', 'list', '--json'])).out) as {
      commit: string;
      revisions: string[];
    }[];
    expect(listed.map(({ commit, revisions }) => [commit, revisions]).sort()).toEqual(
      [
        [first, []],
        [second, ['main']],
      ].sort(),
    );
    expect((await shoal(['model', 'list'])).out).toContain(ID);
    expect((await shoal(['model', 'info', ID])).out).toMatch(/architecture +llama, 2 layers/);
    expect(await shoal(['model', 'rm', `${ID}@${first}`])).toMatchObject({ code: 0 });
    // The other revision shares its weights, and still has them.
    expect(await shoal(['model', 'pull', ID], { HF_HUB_OFFLINE: '1' })).toMatchObject({ code: 0 });
    expect(await shoal(['model', 'rm', ID])).toMatchObject({ code: 0 });
    expect(await shoal(['model', 'rm', ID])).toMatchObject({ code: 1, err: expect.stringMatching(/it is not in/) });
    expect((await shoal(['model', 'list'])).out).toMatch(/^no models in/);
    expect(await shoal(['model', 'pull', 'gpt2'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/must be an id on the hub/),
    });
  });
});
