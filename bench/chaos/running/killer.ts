import { execFile } from 'node:child_process';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { Refused } from '../../../src/errors.js';
import type { WorkerRow } from '../../fleet/fleet-api.js';
import { isWorker, type LocalProcess, readProcess } from './local-process.js';

/** Ways to kill a worker of a fleet that this process does not run. */

type Victim = Pick<WorkerRow, 'id' | 'pid' | 'host'>;

export interface Killer {
  /** The worker that a name refers to; null if there is none. */
  find(name: string, workers: readonly WorkerRow[]): Promise<WorkerRow | null>;
  /** Whether a worker is the one that was found at first, perhaps in a later process. */
  isSame(found: WorkerRow, worker: WorkerRow): boolean;
  /** Kills the worker at once. The fleet's supervisor starts it again. @throws Refused if this machine cannot kill it */
  kill(worker: Victim): Promise<void>;
}

/** Runs a program, and resolves with its output. */
export type Execute = (program: string, args: readonly string[]) => Promise<string>;

const execute: Execute = async (program, args) => (await promisify(execFile)(program, [...args])).stdout;

/** Kills processes of this machine, each only if it is the worker with that id: a container may have the host's name, but its own process ids. */
export class ProcessKiller implements Killer {
  constructor(
    private readonly read: (pid: number) => Promise<LocalProcess | null> = readProcess,
    private readonly signal: (pid: number) => void = (pid) => void process.kill(pid, 'SIGKILL'),
    private readonly host: string = hostname(),
  ) {}

  async find(name: string, workers: readonly WorkerRow[]): Promise<WorkerRow | null> {
    return workers.find(({ id }) => id === name) ?? null;
  }

  isSame(found: WorkerRow, worker: WorkerRow): boolean {
    return found.id === worker.id;
  }

  async kill({ id, pid, host }: Victim): Promise<void> {
    if (host !== this.host) {
      throw new Refused(
        `cannot kill ${id}: it runs on ${host}, and this is ${this.host}; run shoal chaos there, or set --compose`,
      );
    }
    const why = reasonToSpare(await this.read(pid), id);
    if (why !== null) {
      throw new Refused(
        `cannot kill ${id}: process ${pid} of this machine ${why}; if the fleet runs in containers, set --compose to its project`,
      );
    }
    this.signal(pid);
  }
}

/** Why a process is not killed; null if it is this worker. */
function reasonToSpare(found: LocalProcess | null, id: string): string | null {
  if (found === null) return 'is not running';
  if (!found.sameNamespace) return 'runs in another PID namespace';
  return isWorker(found, id) ? null : `is not the worker that --worker-id or SHOAL_WORKER_ID names ${id}`;
}

/** Kills containers of a Docker Compose project, and starts them again, because Docker does not after `docker kill`. */
export class ComposeKiller implements Killer {
  constructor(
    private readonly project: string,
    private readonly run: Execute = execute,
  ) {}

  /** By the worker's id, or by the service and the number of its container, such as `worker-2`: its ids are random. */
  async find(name: string, workers: readonly WorkerRow[]): Promise<WorkerRow | null> {
    const byId = workers.find(({ id }) => id === name);
    const [, service, number] = /^(.+)-(\d+)$/.exec(name) ?? [];
    if (byId !== undefined || number === undefined) return byId ?? null;
    const containers = await this.containers(`service=${service}`, `container-number=${number}`);
    return workers.find(({ host, state }) => state === 'serving' && runsOn(host, containers) !== undefined) ?? null;
  }

  /** A container that is started again has its host name, and the worker in it a new id. */
  isSame(found: WorkerRow, worker: WorkerRow): boolean {
    return found.host === worker.host;
  }

  async kill({ id, host }: Victim): Promise<void> {
    const container = runsOn(host, await this.containers());
    if (container === undefined) {
      throw new Refused(
        `cannot kill ${id}: no container of the project ${this.project} has the host name ${host}; check --compose, and that the service sets no hostname`,
      );
    }
    await this.run('docker', ['kill', container]);
    await this.run('docker', ['start', container]);
  }

  /** The ids of the running containers of the project with these further labels. */
  private async containers(...labels: readonly string[]): Promise<string[]> {
    const filters = [`project=${this.project}`, ...labels].flatMap((label) => [
      '--filter',
      `label=com.docker.compose.${label}`,
    ]);
    return (await this.run('docker', ['ps', '--no-trunc', '-q', ...filters])).split('\n');
  }
}

/** The container with this host name, which is the beginning of its id. */
function runsOn(host: string, containers: readonly string[]): string | undefined {
  return containers.find((name) => host.length >= 12 && name.startsWith(host));
}
