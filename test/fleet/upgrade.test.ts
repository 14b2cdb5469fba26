import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FleetApi } from '../../bench/fleet/fleet-api.js';
import { FleetProcess } from '../../bench/fleet/fleet-process.js';
import { type PlainNats, plainNats } from '../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { OtlpCollector } from '../support/otlp-collector.js';
import { CLI } from './support/fleet.js';

/** The built command of the release before this one: `dist/cli/main.js` in its folder. */
const PREVIOUS = process.env.SHOAL_PREVIOUS_CLI ?? null;
if (PREVIOUS === null)
  console.warn('No fleet of two releases is tested: SHOAL_PREVIOUS_CLI names no build of the last one');

/** Whether workers of the release before this one take calls that belong to a trace: their help then has its options. */
const takesTraces = () => execFileSync(process.execPath, [PREVIOUS!, 'worker', '--help']).includes('--otlp-endpoint');

const sheet = recallSheet(40, 61);
const { question, answer } = sheet.questions[0]!;
const prompt = recallPrompt(sheet, question);
const SECRET = { SHOAL_SECRET: 'a secret of the fleet in this test', SHOAL_LOG_LEVEL: 'info' };

describe.skipIf(PREVIOUS === null)('a fleet of two releases', () => {
  let dir: string;
  let nats: PlainNats;
  let collector: OtlpCollector;
  let members: FleetProcess[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    nats = await plainNats((await findNatsServer()).path, ['-js', '-sd', join(dir, 'store')]);
    collector = await OtlpCollector.start();
  });
  afterEach(async () => {
    await Promise.all(members.map((member) => member.stop()));
    members = [];
    await collector.stop();
    await nats.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  function member(cli: string, ...args: string[]): FleetProcess {
    const started = new FleetProcess([process.execPath, cli, ...args], { ...SECRET, SHOAL_NATS: nats.url });
    members.push(started);
    return started;
  }
  const worker = (cli: string, id: string, ...args: string[]) =>
    member(cli, 'worker', '--worker-id', id, '--metrics-port', 'off', '--fetch', 'always', ...args);

  async function coordinator(cli: string, id: string, ...args: string[]): Promise<FleetApi> {
    const own = member(cli, 'coordinator', '--port', '0', '--coordinator-id', id, '--allow-routing', ...args);
    return new FleetApi((JSON.parse(await own.logged('"listening"')) as { url: string }).url);
  }

  /** Asks each worker by each coordinator, and wants the same answer, and blocks of the other release. */
  async function checkAnswers(coordinators: readonly FleetApi[]): Promise<void> {
    for (const api of coordinators) {
      await api.until((all) => all.filter(({ state }) => state === 'serving').length === 2);
      for (const id of ['old', 'new']) {
        const said = await api.complete({ prompt }, { 'x-shoal-worker': id });
        expect([id, said.choices[0]!.text.trim(), said.shoal.worker]).toEqual([id, answer, id]);
      }
    }
  }

  it('answers by both coordinators on both workers, which share blocks', async () => {
    worker(PREVIOUS!, 'old', '--replicas', '1');
    worker(CLI, 'new', '--replicas', '1');
    const apis = [
      await coordinator(PREVIOUS!, 'c-old', '--replicas', '1'),
      await coordinator(CLI, 'c-new', '--replicas', '1'),
    ];
    await checkAnswers(apis);
    const holders = await apis[1]!.holders(prompt);
    expect([...holders].toSorted()).toEqual(['new', 'old']);
    const again = await apis[0]!.complete({ prompt: `${prompt} ` }, { 'x-shoal-worker': 'new' });
    expect(again.shoal.cached.local + again.shoal.cached.remote).toBeGreaterThan(0);
  });

  it('refuses a member of either release that has other settings, and says which', async () => {
    worker(PREVIOUS!, 'old', '--replicas', '1');
    const api = await coordinator(PREVIOUS!, 'c-old', '--replicas', '1');
    await api.until((all) => all.some(({ state }) => state === 'serving'));
    const wrong = worker(CLI, 'new', '--replicas', '2');
    expect(await wrong.ended).toBe(1);
    expect(wrong.lines.join('\n')).toContain('replicas is 1 there, 2 here');
  });

  it('traces requests on workers of this release, and of the other one if it takes traced calls', async () => {
    worker(PREVIOUS!, 'old', '--replicas', '1');
    worker(CLI, 'new', '--replicas', '1');
    const api = await coordinator(CLI, 'c-new', '--replicas', '1', '--otlp-endpoint', collector.url);
    await api.until((all) => all.filter(({ state }) => state === 'serving').length === 2);
    const said = await api.complete({ prompt }, { 'x-shoal-worker': 'new' });
    expect(said.choices[0]!.text.trim()).toBe(answer);
    const body = { model: 'recall', prompt, max_tokens: 32 };
    expect((await api.post('/v1/completions', body, { 'x-shoal-worker': 'old' })).status).toBe(
      takesTraces() ? 200 : 503,
    );
    await Promise.all(members.map((each) => each.stop()));
    expect(collector.spans.map(({ name }) => name)).toContain('shoal.attempt');
  });
});
