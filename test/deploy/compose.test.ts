import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Completion, pooled } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { ComposedFleet, type Container } from './support/composed-fleet.js';
import { type Engine, startEngine } from './support/engine.js';
import { outputOf, ROOT, ran } from './support/programs.js';

const engine: Engine = await startEngine();
if (!engine.there) console.warn(`skipping the tests of Docker Compose: ${engine.why}`);

const textOf = (answer: Completion) => answer.choices[0]!.text.trim();
/** Questions about several sheets of notes, each with its answer. */
const questions = (seeds: readonly number[], perSheet: number) =>
  seeds
    .map((seed) => recallSheet(24, seed))
    .flatMap((sheet) =>
      sheet.questions
        .slice(0, perSheet)
        .map(({ question, answer }) => ({ prompt: recallPrompt(sheet, question), answer })),
    );

/** The development dependencies that no package of production needs. */
function developmentOnly(): string[] {
  const parsed = <T>(file: string) => JSON.parse(readFileSync(`${ROOT}/${file}`, 'utf8')) as T;
  const { devDependencies } = parsed<{ devDependencies: Record<string, string> }>('package.json');
  const { packages } = parsed<{ packages: Record<string, { dev?: boolean }> }>('package-lock.json');
  return Object.keys(devDependencies).filter((name) => packages[`node_modules/${name}`]?.dev);
}

/** One fleet from start to end: each test continues where the previous test stopped. */
describe.skipIf(!engine.there)('a fleet with Docker Compose', () => {
  let fleet: ComposedFleet;
  let workers: readonly string[];

  /** Sends questions until `during` settles. Every answer must be right. */
  async function askedDuring(asked: ReturnType<typeof questions>, during: Promise<unknown>): Promise<number> {
    let over = false;
    let count = 0;
    const ended = during.finally(() => {
      over = true;
    });
    const lane = async (first: number) => {
      for (let i = first; !over; i++) {
        const { prompt, answer } = asked[i % asked.length]!;
        expect(textOf(await fleet.complete({ prompt }))).toBe(answer);
        count++;
      }
    };
    await Promise.all([ended, ...[0, 7, 14, 21].map(lane)]);
    return count;
  }

  beforeAll(async () => {
    if (!engine.there) return;
    fleet = await ComposedFleet.prepare(engine, { SHOAL_ALLOW_ROUTING: '1' });
    await fleet.must('build', 'secrets');
    await fleet.must('build');
  }, 600_000);

  afterAll(async () => {
    if (!engine.there) return;
    await fleet?.remove();
    engine.stop();
  }, 120_000);

  it('has files that Compose reads without a warning', async () => {
    for (const files of [[], ['-f', 'docker-compose.yml', '-f', 'docker-compose.gpu.yml', '--profile', 'gpus-8']]) {
      const { code, err } = await fleet.compose(...files, '--profile', 'observability', 'config', '-q');
      expect(err).toBe('');
      expect(code).toBe(0);
    }
  });

  it('has an image with runtime files only', async () => {
    const inside = async (command: string) =>
      (await outputOf('docker', ['run', '--rm', '--network', 'none', '--entrypoint', 'sh', fleet.image, '-c', command]))
        .split('\n')
        .toSorted();
    expect(await inside('ls /opt/shoal')).toEqual(
      ['LICENSE', 'deploy', 'dist', 'models', 'node_modules', 'package.json'].toSorted(),
    );
    for (const name of developmentOnly()) {
      expect(await inside(`test -e /opt/shoal/node_modules/${name} && echo there || echo not`)).toEqual(['not']);
    }
    expect(await inside('cd /opt/shoal/node_modules/onnxruntime-node/bin && echo */*/*')).toEqual([
      expect.stringMatching(/^napi-v\d+\/linux\/[a-z0-9]+$/),
    ]);
    const [{ Size }] = JSON.parse(await outputOf('docker', ['image', 'inspect', fleet.image])) as [{ Size: number }];
    const [base] = JSON.parse(
      await outputOf('docker', ['image', 'inspect', engine.there ? engine.images.NODE_IMAGE! : '']),
    ) as [{ Size: number }];
    const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    console.info(`image: ${megabytes(Size)}, of which base image: ${megabytes(base.Size)}`);
    expect(Size - base.Size).toBeLessThan(100e6);
  });

  it('accepts requests without a .env', async () => {
    const beganMs = performance.now();
    await Promise.all([fleet.must('up', '-d', '--scale', 'worker=3'), fleet.accepting()]);
    console.info(`accepts requests after ${((performance.now() - beganMs) / 1_000).toFixed(1)} s`);
    workers = await fleet.serving(3);
    expect(new Set(workers).size).toBe(3);
  }, 600_000);

  it('runs every container without root, with a read-only image and limits on memory and processes', async () => {
    const containers = await fleet.containers();
    expect(containers.length).toBe(6);
    for (const { Name, Config, HostConfig, State, Id } of containers) {
      expect({ Name, user: Config.User }).not.toEqual({ Name, user: '' });
      expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, Init: true });
      expect(HostConfig.Memory).toBeGreaterThan(0);
      expect(HostConfig.PidsLimit).toBeGreaterThan(0);
      if (State.Status !== 'running') continue;
      const uids = (await outputOf('docker', ['top', Id, '-eo', 'pid,uid'])).split('\n').slice(1);
      expect({ Name, uids: uids.filter((line) => line.trim().endsWith(' 0')) }).toEqual({ Name, uids: [] });
    }
  });

  it('generates its secrets, gives each role its own, and does not show them', async () => {
    const [coordinator] = await fleet.containers('coordinator');
    const [worker] = await fleet.containers('worker');
    const inside = (container: Container, ...command: string[]) =>
      outputOf('docker', ['exec', container.Id, ...command]);
    const read = (container: Container, name: string) => inside(container, 'cat', `/run/shoal/${name}`);
    const filesOf = async (container: Container) => (await inside(container, 'ls', '/run/shoal')).split('\n');
    expect(await filesOf(coordinator!)).toEqual(['metrics-key', 'nats-password', 'secret']);
    expect(await filesOf(worker!)).toEqual(['nats-password', 'secret']);
    const secrets = [
      await read(coordinator!, 'secret'),
      await read(coordinator!, 'nats-password'),
      await read(worker!, 'nats-password'),
    ];
    for (const secret of secrets) expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(secrets).size).toBe(3);
    expect(await read(worker!, 'secret')).toBe(secrets[0]);
    const shown = JSON.stringify(await fleet.containers()) + (await fleet.must('logs'));
    expect(secrets.filter((secret) => shown.includes(secret))).toEqual([]);
    const entered = await ran('docker', ['exec', coordinator!.Id, 'node', '-e', GUEST]);
    expect(entered.out).toContain('Authorization Violation');
  });

  it('has NATS and the workers on a network without a way out', async () => {
    const networksOf = async (service: string) =>
      Object.keys((await fleet.containers(service))[0]!.NetworkSettings.Networks).map((name) => name.split('_').at(-1));
    expect(await networksOf('nats')).toEqual(['back']);
    expect(await networksOf('worker')).toEqual(['back']);
    expect((await networksOf('coordinator')).sort()).toEqual(['back', 'front']);
  });

  it('answers from the notes in the prompt', async () => {
    const sheet = recallSheet(48, 7);
    const asked = sheet.questions.slice(0, 30);
    const answers = await pooled(
      6,
      asked.map(
        ({ question }) =>
          () =>
            fleet.complete({ prompt: recallPrompt(sheet, question) }),
      ),
    );
    expect(answers.map(textOf)).toEqual(asked.map(({ answer }) => answer));
  });

  it('fetches blocks between peers over the container network', async () => {
    const rows = await fleet.workers();
    expect(new Set(rows.map(({ address }) => address)).size).toBe(3);
    for (const { address } of rows) expect(address).toMatch(/^tcp:\/\/\d+\.\d+\.\d+\.\d+:7400$/);
    // A worker computes a prefix if it expects that to be faster. Over a few sheets it fetches at least once.
    for (let seed = 8, remote = 0; remote === 0; seed++) {
      const sheet = recallSheet(48, seed);
      const { question, answer } = sheet.questions[0]!;
      const first = await fleet.complete({ prompt: recallPrompt(sheet, question) });
      const stranger = workers.find((id) => id !== first.shoal.worker)!;
      const second = await fleet.complete({ prompt: recallPrompt(sheet, question) }, { 'x-shoal-worker': stranger });
      expect(textOf(second)).toBe(answer);
      remote = second.shoal.cached.remote;
    }
  });

  it('loses no answer when a worker is killed under 60 running requests', async () => {
    const asked = questions([1, 2, 3, 4], 15);
    let answered = 0;
    let killed: Promise<string> | undefined;
    /** Kills the worker with the most requests, as known to the coordinator. */
    const kill = async () => {
      const busiest = (await fleet.workers()).toSorted((a, b) => b.running - a.running)[0]!.id;
      const { Id } = await fleet.containerOf(busiest);
      await outputOf('docker', ['kill', '-s', 'KILL', Id]);
      return Id;
    };
    const answers = await pooled(
      asked.length,
      asked.map(({ prompt }) => async () => {
        const answer = await fleet.complete({ prompt });
        if (++answered === 5) killed = kill();
        return textOf(answer);
      }),
    );
    expect(answers).toHaveLength(60);
    expect(answers).toEqual(asked.map(({ answer }) => answer));
    const victim = await killed;
    const ended = (await fleet.containers('worker')).find(({ Id }) => Id === victim);
    expect(ended?.State).toMatchObject({ Status: 'exited', ExitCode: 137 });
  });

  it('grows to five workers, and moves blocks to the new ones', async () => {
    const asked = questions(
      Array.from({ length: 30 }, (_, i) => 100 + i),
      1,
    );
    await pooled(
      6,
      asked.map(
        ({ prompt }) =>
          () =>
            fleet.complete({ prompt, max_tokens: 1 }),
      ),
    );
    const before = await fleet.serving(2);
    const others = await restartCounts(fleet, before);
    await fleet.must('up', '-d', '--scale', 'worker=5');
    workers = await fleet.serving(5);
    const fresh = workers.filter((id) => !before.includes(id));
    expect(fresh).toHaveLength(3);
    await fleet.until((rows) => rows.filter(({ id, blocks }) => fresh.includes(id) && blocks > 0).length === 3);
    expect(await fleet.sumOverWorkers('shoal_rebalance_moved_blocks_total')).toBeGreaterThan(0);
    expect(await restartCounts(fleet, before)).toEqual(others);
  });

  it('fails no request while a worker is paused for ten seconds', async () => {
    const { Id } = await fleet.containerOf(workers[0]!);
    await outputOf('docker', ['pause', Id]);
    // The pause itself takes ten seconds. No other wait in this file uses the clock.
    const tenSeconds = new Promise((resolve) => setTimeout(resolve, 10_000)).finally(() =>
      outputOf('docker', ['unpause', Id]),
    );
    expect(await askedDuring(questions([11, 12, 13], 10), tenSeconds)).toBeGreaterThan(10);
    workers = await fleet.serving(5);
  });

  it('ends a worker with exit code 0 on docker stop, within the grace period', async () => {
    const { Id } = await fleet.containerOf(workers[2]!);
    const asked = askedDuring(questions([21, 22], 12), outputOf('docker', ['stop', '-t', '20', Id]));
    expect(await asked).toBeGreaterThan(0);
    const [stopped] = JSON.parse(await outputOf('docker', ['inspect', Id])) as [{ State: object }];
    expect(stopped.State).toMatchObject({ Status: 'exited', ExitCode: 0, OOMKilled: false });
    await fleet.serving(4);
  });

  it('shows Prometheus every coordinator and worker, and every series of the alerts and the dashboard', async () => {
    await fleet.must('up', '-d', '--scale', 'worker=5');
    await fleet.serving(5);
    await fleet.must('--profile', 'observability', 'up', '-d', '--scale', 'worker=5', 'prometheus');
    const ask = async (path: string) => {
      const response = await fetch(`${fleet.prometheusUrl}${path}`).catch(() => null);
      return response?.ok ? ((await response.json()) as { data: never }) : null;
    };
    const query = async (expr: string) =>
      (await ask(`/api/v1/query?query=${encodeURIComponent(expr)}`)) as {
        data: { result: { value: [number, string] }[] };
      } | null;
    const count = async (expr: string) => Number((await query(expr))?.data.result[0]?.value[1] ?? 0);
    while ((await count('sum(up{role="worker"})')) !== 5 || (await count('sum(up{role="coordinator"})')) !== 1);
    const dashboard = JSON.parse(readFileSync(`${ROOT}/deploy/grafana/dashboards/shoal.json`, 'utf8')) as {
      panels: { title: string; targets?: { expr: string }[] }[];
    };
    for (const { title, targets } of dashboard.panels) {
      for (const { expr } of targets ?? []) {
        const answer = await query(expr.replaceAll('$__rate_interval', '1m'));
        expect({ title, answered: answer !== null }).toEqual({ title, answered: true });
      }
    }
    const rules = (await ask('/api/v1/rules')) as {
      data: { groups: { rules: { name: string; health: string }[] }[] };
    } | null;
    expect(rules?.data.groups[0]?.rules.length).toBeGreaterThan(10);
  });

  it('shrinks to two workers under load without losing an answer', async () => {
    const asked = questions([31, 32, 33], 10);
    const count = await askedDuring(asked, fleet.must('up', '-d', '--scale', 'worker=2'));
    expect(count).toBeGreaterThan(0);
    await fleet.serving(2);
    expect(await fleet.containers('worker')).toHaveLength(2);
    const again = await fleet.complete({ prompt: asked[0]!.prompt });
    expect(textOf(again)).toBe(asked[0]!.answer);
    expect(again.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(0);
  });

  it('replaces every worker, one after another under load, without losing an answer', async () => {
    const before = (await fleet.containers('worker')).map(({ Id }) => Id);
    const asked = questions([41, 42], 12);
    expect(await askedDuring(asked, fleet.upgrade())).toBeGreaterThan(0);
    await fleet.serving(2);
    const after = (await fleet.containers('worker')).map(({ Id }) => Id);
    expect(after.filter((id) => before.includes(id))).toEqual([]);
  });

  it('leaves nothing behind', async () => {
    await fleet.must('--profile', 'observability', 'down', '-v');
    expect(await fleet.leftovers()).toEqual([]);
  });
});

/** A script that tries to connect to NATS without the password, and prints the answer. */
const GUEST = `
const socket = require('node:net').connect(4222, 'nats');
socket.write('CONNECT {"verbose":false}\\r\\nPING\\r\\n');
socket.on('data', (bytes) => process.stdout.write(bytes));
socket.on('end', () => process.exit());
`;

/** The start times of these workers' containers, the coordinator's and NATS's. */
async function restartCounts(fleet: ComposedFleet, ids: readonly string[]): Promise<string[]> {
  const containers = [
    ...(await Promise.all(ids.map((id) => fleet.containerOf(id)))),
    ...(await fleet.containers('coordinator')),
    ...(await fleet.containers('nats')),
  ];
  const started = containers.map(({ Id }) =>
    outputOf('docker', ['inspect', '-f', '{{.Name}} {{.State.StartedAt}}', Id]),
  );
  return (await Promise.all(started)).toSorted();
}
