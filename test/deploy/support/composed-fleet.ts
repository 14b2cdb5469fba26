import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { FleetApi } from '../../../bench/fleet/fleet-api.js';
import type { Engine } from './engine.js';
import { outputOf, type Ran, ran } from './programs.js';

export interface Container {
  readonly Id: string;
  readonly Name: string;
  readonly Config: { readonly User: string; readonly Hostname: string; readonly Env: readonly string[] };
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly Memory: number;
    readonly PidsLimit: number | null;
    readonly Init: boolean;
  };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly OOMKilled: boolean };
}

/** A fleet that Compose runs with its own project, image, ports and settings. */
export class ComposedFleet extends FleetApi {
  readonly project: string;
  readonly image: string;

  private constructor(
    private readonly engine: Engine & { there: true },
    private readonly folder: string,
    private readonly environment: NodeJS.ProcessEnv,
    readonly prometheusUrl: string,
    name: string,
  ) {
    super(`http://127.0.0.1:${environment.SHOAL_PORT}`);
    this.project = name;
    this.image = name;
  }

  static async prepare(engine: Engine & { there: true }, settings: Record<string, string>): Promise<ComposedFleet> {
    const name = `shoal-test-${randomBytes(4).toString('hex')}`;
    const folder = await mkdtemp(join(tmpdir(), 'shoal-compose-'));
    const [port, prometheusPort] = [await freePort(), await freePort()];
    await writeFile(
      join(folder, 'env'),
      Object.entries(settings)
        .map(([variable, value]) => `${variable}=${value}\n`)
        .join(''),
    );
    const inherited = Object.entries(process.env).filter(([variable]) => !/^(SHOAL|COMPOSE|GRAFANA)_/.test(variable));
    const ports = {
      SHOAL_PORT: String(port),
      PROMETHEUS_PORT: String(prometheusPort),
      SHOAL_IMAGE: name,
      ...engine.images,
    };
    const prometheusUrl = `http://127.0.0.1:${prometheusPort}`;
    return new ComposedFleet(engine, folder, { ...Object.fromEntries(inherited), ...ports }, prometheusUrl, name);
  }

  /** Runs Compose, as `ran` does. */
  compose(...args: readonly string[]): Promise<Ran> {
    const [program, ...first] = [...this.engine.compose, '-p', this.project, '--env-file', join(this.folder, 'env')];
    return ran(program!, [...first, ...args], this.environment);
  }

  /** Runs Compose, which must succeed. */
  async must(...args: readonly string[]): Promise<string> {
    const { code, out, err } = await this.compose(...args);
    if (code !== 0) throw new Error(`compose ${args.join(' ')}: exit code ${code}: ${err}${out}`);
    return out;
  }

  /** Replaces the workers with deploy/upgrade.sh. */
  upgrade(): Promise<string> {
    const project = ['-p', this.project, '--env-file', join(this.folder, 'env')];
    return outputOf('deploy/upgrade.sh', project, this.environment);
  }

  /** The containers of a service, including exited ones. Without a service, the containers of all services. */
  async containers(service?: string): Promise<Container[]> {
    const labels = ['project', ...(service === undefined ? [] : ['service'])].map((label, index) => [
      '--filter',
      `label=com.docker.compose.${label}=${index === 0 ? this.project : service}`,
    ]);
    const ids = (await outputOf('docker', ['ps', '-aq', ...labels.flat()])).split('\n').filter((id) => id !== '');
    return ids.length === 0 ? [] : (JSON.parse(await outputOf('docker', ['inspect', ...ids])) as Container[]);
  }

  /** The container of a worker. */
  async containerOf(workerId: string): Promise<Container> {
    const host = (await this.workers()).find(({ id }) => id === workerId)?.host;
    const found = (await this.containers('worker')).find(({ Config }) => Config.Hostname === host);
    if (found === undefined) throw new Error(`cannot find the container of ${workerId}`);
    return found;
  }

  /** Waits until the fleet accepts requests. The test's time limit bounds it. */
  async accepting(): Promise<void> {
    for (;;) {
      const response = await fetch(`${this.url}/health/ready`, { signal: AbortSignal.timeout(5_000) }).catch(
        () => null,
      );
      if (response?.ok) return;
      // A refused connection fails at once: asking again without a pause would take a processor from the fleet.
      await setTimeout(200);
    }
  }

  /** Waits until exactly `count` workers serve and all other listed workers are dead. */
  async serving(count: number): Promise<readonly string[]> {
    const workers = await this.until((all) => {
      const alive = all.filter(({ state }) => state !== 'dead');
      return alive.length === count && alive.every(({ state }) => state === 'serving');
    });
    return workers.filter(({ state }) => state === 'serving').map(({ id }) => id);
  }

  /** The sum of a metric over all workers, read from the workers themselves. */
  async sumOverWorkers(metric: string): Promise<number> {
    const running = (await this.containers('worker')).filter(({ State }) => State.Status === 'running');
    const texts = await Promise.all(
      running.map(({ Id }) =>
        outputOf('docker', [
          'exec',
          Id,
          'node',
          '-e',
          "fetch('http://127.0.0.1:8080/metrics').then(async (r) => console.log(await r.text()))",
        ]),
      ),
    );
    const values = texts.flatMap((text) => [...text.matchAll(new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))]);
    return values.reduce((sum, match) => sum + Number(match[1]), 0);
  }

  /** Stops and removes the fleet and its image. */
  async remove(): Promise<void> {
    await this.must('--profile', 'observability', 'down', '-v', '--timeout', '20');
    await ran('docker', ['image', 'rm', this.image]);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** The containers, volumes and networks of this project that still exist. */
  async leftovers(): Promise<string[]> {
    const filter = ['--filter', `label=com.docker.compose.project=${this.project}`];
    const lists = [
      ['ps', '-aq'],
      ['volume', 'ls', '-q'],
      ['network', 'ls', '-q'],
    ];
    const found = await Promise.all(lists.map((list) => outputOf('docker', [...list, ...filter])));
    return found.flatMap((list) => list.split('\n')).filter((id) => id !== '');
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('a listening server has no port');
  return address.port;
}
