import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { startNatsServer } from '../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { GRANTED, HubServer } from '../support/hub-server.js';
import { filesIn } from '../unit/hub/rig.js';
import { RECALL } from '../unit/model/folders.js';
import { CLI, Fleet } from './support/fleet.js';
import { JoinedWorker } from './support/joined-worker.js';

const ID = 'shoal/recall-test';
const GRAPH = 'onnx/model.onnx';
const SECRET = 'a secret of the fleet in this test';

describe('a fleet whose model is an id on the hub', () => {
  let hub: HubServer;
  let home: string;
  let environment: Record<string, string>;

  beforeAll(async () => {
    hub = await HubServer.start();
    home = await mkdtemp(join(tmpdir(), 'shoal-hub-'));
    hub.add(ID, await filesIn(RECALL), 'gated');
    environment = { HF_ENDPOINT: hub.endpoint, HF_HOME: home, HF_TOKEN: GRANTED };
  });

  afterAll(async () => {
    await hub.stop();
    await rm(home, { recursive: true, force: true });
  });

  async function shoal(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
    const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, ...environment } });
    const output = { out: '', err: '' };
    child.stdout.on('data', (text: Buffer) => {
      output.out += text;
    });
    child.stderr.on('data', (text: Buffer) => {
      output.err += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...output };
  }

  async function answers(env: Record<string, string>): Promise<string> {
    const fleet = await Fleet.up(['--model', ID, '--workers', '2'], env);
    try {
      const sheet = recallSheet(8, 3);
      const [asked] = sheet.questions;
      const models = (await (await fetch(`${fleet.ready.url}/v1/models`)).json()) as { data: { id: string }[] };
      expect(models.data.map(({ id }) => id)).toEqual([ID]);
      const answer = await fleet.complete({ model: ID, prompt: recallPrompt(sheet, asked!.question) });
      expect(answer.choices[0]!.text).toContain(asked!.answer);
      return fleet.log;
    } finally {
      await fleet.stop();
    }
  }

  it('answers after one command, from an empty cache, over a cut of the download', async () => {
    hub.faults.push({ url: GRAPH, kind: 'cut', afterBytes: 3_000_000 });
    expect(await answers(environment)).toContain('trying onnx/model.onnx again');
    const { filesAsked } = hub;
    expect(filesAsked.filter((path) => path === GRAPH)).toHaveLength(2);
    expect(hub.requests.some(({ range }) => /^bytes=\d+-$/.test(range ?? ''))).toBe(true);
  });

  it('is refused when it is downloaded, if its tokenizer is not supported', async () => {
    const files = await filesIn(RECALL);
    const tokenizer = JSON.parse(Buffer.from(files['tokenizer.json']!).toString()) as { model: { type: string } };
    tokenizer.model.type = 'WordPiece';
    hub.add('shoal/words', { ...files, 'tokenizer.json': JSON.stringify(tokenizer) });
    const { code, out, err } = await shoal('model', 'pull', 'shoal/words');
    expect(code).toBe(1);
    expect(out).not.toContain('to serve it');
    expect(err).toMatch(/its model has the type "WordPiece"; supported are BPE and Unigram/);
    expect((await shoal('model', 'rm', 'shoal/words')).code).toBe(0);
  });

  it('gives its model to workers of another host that have neither the model nor a way to the hub', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-far-'));
    const server = await startNatsServer({ path: (await findNatsServer()).path, dir: folder });
    const { url: nats, user, password } = server;
    const access = { SHOAL_NATS: nats, SHOAL_NATS_USER: user, SHOAL_NATS_PASSWORD: password, SHOAL_SECRET: SECRET };
    const far = { ...access, HF_HOME: join(folder, 'home'), HF_ENDPOINT: 'http://127.0.0.1:9' };
    const args = ['--model', ID, '--cache-bytes', '64MiB', '--metrics-port', 'off', '--peer-port', 'off'];
    const joined: JoinedWorker[] = [];
    const fleet = await Fleet.up(['--model', ID, '--workers', '1'], { ...environment, ...access });
    try {
      const asked = hub.requests.length;
      for (const id of ['far-1', 'far-2'])
        joined.push(new JoinedWorker(id, [...args, '--peer-socket', join(folder, `${id}.sock`)], far));
      for (const worker of joined) await worker.logged('taking the model from members of the fleet: worker-1');
      await fleet.until((all) => all.length === 3 && all.every(({ state }) => state === 'serving'));
      expect(hub.requests).toHaveLength(asked);
      const sheet = recallSheet(8, 4);
      const prompt = recallPrompt(sheet, sheet.questions[0]!.question);
      const answer = await fleet.complete({ model: ID, prompt }, { 'x-shoal-worker': 'far-2' });
      expect(answer.choices[0]!.text).toContain(sheet.questions[0]!.answer);
      const downloads = joined.flatMap(({ lines }) => lines.filter((line) => line.includes(`downloaded ${GRAPH}`)));
      expect(downloads).toHaveLength(1);
    } finally {
      await Promise.all(joined.map((worker) => worker.stop()));
      await fleet.stop();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('answers offline afterwards, and the cache can be listed and emptied', async () => {
    await hub.stop();
    await answers({ ...environment, HF_HUB_OFFLINE: '1' });
    const listed = await shoal('model', 'list', '--json');
    expect(JSON.parse(listed.out)).toMatchObject([{ id: ID, revisions: ['main'], graphs: [GRAPH] }]);
    expect((await shoal('model', 'info', ID)).out).toMatch(/architecture +llama, 4 layers/);
    expect(await shoal('model', 'rm', ID)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^removed shoal\/recall-test, 7\.\d MiB/),
    });
    environment = { ...environment, HF_HUB_OFFLINE: '1' };
    expect((await shoal('up', '--model', ID)).err).toMatch(/unset it, and run: shoal model pull shoal\/recall-test/);
  });
});
