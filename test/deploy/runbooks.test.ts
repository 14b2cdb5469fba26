import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PlainNats, plainNats } from '../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { JoinedCoordinator } from '../fleet/support/joined-coordinator.js';
import { JoinedWorker } from '../fleet/support/joined-worker.js';
import { ROOT } from './support/programs.js';
import { impatient, Prometheus } from './support/prometheus.js';
import { findPromtool } from './support/promtool.js';
import { look as lookAt } from './support/runbook.js';

/** Faults of a real fleet, the alerts of a real Prometheus, and the commands of their pages. */

const promtool = await findPromtool();
if (promtool.path === null) console.warn(`skipping the tests of the runbooks: ${promtool.why}`);

const SHEET = recallSheet(40, 17);
/** Of a fleet as the Helm chart makes it: it has keys, and pages that forget them fail. */
const KEY = 'the-key-of-an-operator';
const PROMPT = recallPrompt(SHEET, SHEET.questions[0]!.question);

describe.skipIf(promtool.path === null)('a fault', () => {
  let folder: string;
  let nats: PlainNats;
  let coordinator: JoinedCoordinator;
  let workers: JoinedWorker[] = [];
  let urls: string[] = [];
  let prometheus: Prometheus;

  const environment = () => ({ SHOAL_SECRET: 'a secret of the fleet in this test', SHOAL_NATS: nats.url });
  const startWorker = (id: string, port: string) => {
    const args = ['--threads', '1', '--cache-bytes', '64MiB', '--advertise-host', '127.0.0.1', '--metrics-port', port];
    return new JoinedWorker(id, args, environment());
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    nats = await plainNats((await findNatsServer()).path, ['-js', '-sd', join(folder, 'store')]);
    workers = ['a', 'b'].map((id) => startWorker(id, '0'));
    const serving = await Promise.all(workers.map((worker) => worker.logged('"msg":"serving"')));
    urls = serving.map((line) => new URL((JSON.parse(line) as { metrics: string }).metrics).origin);
    coordinator = await JoinedCoordinator.start('c', { ...environment(), SHOAL_API_KEYS: KEY });
    await coordinator.until((all) => all.filter(({ state }) => state === 'serving').length === 2);
    const targets = [
      { role: 'coordinator', url: coordinator.url, key: KEY } as const,
      ...urls.map((url) => ({ role: 'worker', url }) as const),
    ];
    const rules = impatient(readFileSync(join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8'));
    prometheus = await Prometheus.start(promtool.path!.replace(/promtool$/, 'prometheus'), folder, rules, targets);
  }, 120_000);

  afterAll(async () => {
    await prometheus?.stop();
    await Promise.all([...workers, coordinator?.process].map((each) => each?.stop('SIGKILL')));
    await nats?.stop('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    if (promtool.path !== null && promtool.folder !== null) await rm(promtool.folder, { recursive: true });
  }, 120_000);

  const fires: Prometheus['fires'] = (alert, poke) => prometheus.fires(alert, poke);
  const look = (alert: string, worker = urls[0]!) =>
    lookAt(alert, { coordinator: coordinator.url, worker, apiKey: KEY });

  it('that is none fires nothing', async () => {
    await coordinator.complete({ prompt: PROMPT });
    while ((await prometheus.up()) < 3);
    await coordinator.until((all) => all.some(({ id, blocks }) => id === 'b' && blocks > 0));
    expect([...(await prometheus.firing())]).not.toContain('ShoalNoWorkers');
  });

  it('of any kind leads to a page whose commands run', async () => {
    const pages = readdirSync(join(ROOT, 'docs/runbooks')).filter((name) => name.startsWith('Shoal'));
    for (const page of pages) expect(await look(page.replace('.md', '')), page).not.toMatch(/401|unauthorized/i);
  });

  it('of a worker that hangs fires ShoalWorkerUnreachable and ShoalWorkerLost', async () => {
    process.kill(workers[1]!.pid, 'SIGSTOP');
    await fires('ShoalWorkerUnreachable');
    expect(await look('ShoalWorkerUnreachable', urls[1])).not.toBe('');
    await fires('ShoalWorkerLost');
    expect(await look('ShoalWorkerLost')).toMatch(/b .*(?:suspect|dead)/);
  });

  it('of a worker that starts again and again fires ShoalRestarts', async () => {
    const { host, port } = new URL(urls[1]!);
    const startedS = async () => (await prometheus.value(`process_start_time_seconds{instance="${host}"}`)) ?? 0;
    for (let starts = 0; starts < 3; starts++) {
      const beforeS = await startedS();
      await workers[1]!.stop('SIGKILL');
      // Prometheus counts starts by their time in whole seconds, and none that it has not read.
      while (Date.now() / 1_000 < beforeS + 2) await pause(100);
      workers[1] = startWorker('b', port);
      while ((await startedS()) <= beforeS) await pause(100);
    }
    await fires('ShoalRestarts');
    expect(await look('ShoalRestarts')).not.toBe('');
  });

  it('of all workers fires ShoalNoWorkers, and ShoalErrors once somebody asks', async () => {
    await Promise.all(workers.map((worker) => worker.stop('SIGKILL')));
    await fires('ShoalNoWorkers');
    expect(await look('ShoalNoWorkers')).toMatch(/suspect|dead/);
    await fires('ShoalErrors', () => coordinator.post('/v1/completions', { prompt: 'a', max_tokens: 1 }));
    expect(await look('ShoalErrors')).not.toBe('');
  });

  it('of a bucket of NATS fires ShoalStoreFault', async () => {
    const connection = await connect({ servers: nats.url });
    const { streams } = await jetstreamManager(connection);
    await streams.update('KV_shoal-shoal-pins', { max_msg_size: 10 });
    await fires('ShoalStoreFault');
    expect(await look('ShoalStoreFault')).toContain('the bucket shoal-shoal-pins has other settings');
    await connection.close();
  });

  it('of NATS fires ShoalNatsLost', async () => {
    await nats.stop('SIGKILL');
    await fires('ShoalNatsLost');
    expect(await look('ShoalNatsLost')).toContain('nats');
  });

  it('of all coordinators fires ShoalNoCoordinator', async () => {
    await coordinator.process.stop('SIGKILL');
    await fires('ShoalNoCoordinator');
    expect(await look('ShoalNoCoordinator')).not.toBe('');
  });
});
