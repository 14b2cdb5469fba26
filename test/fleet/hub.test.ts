import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { GRANTED, HubServer } from '../support/hub-server.js';
import { filesIn } from '../unit/hub/rig.js';
import { RECALL } from '../unit/model/folders.js';
import { CLI, Fleet } from './support/fleet.js';

const ID = 'shoal/recall-test';
const GRAPH = 'onnx/model.onnx';

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
