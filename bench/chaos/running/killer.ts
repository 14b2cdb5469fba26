import { execFile } from 'node:child_process';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { Refused } from '../../../src/errors.js';
import type { WorkerRow } from '../../fleet/fleet-api.js';
import { isWorker, type LocalProcess, readProcess } from './local-process.js';

/** Ways to kill a worker of a fleet that somebody else runs. */

type Victim = Pick<WorkerRow, 'id' | 'pid' | 'host'>;

export interface Killer {
  /** Kills the worker at once. Whoever runs the fleet starts it again. @throws Refused if this machine cannot kill it */
  kill(worker: Victim): Promise<void>;
}

/** Runs a program, and resolves with its output. */
export type Execute = (program: string, args: readonly string[]) => Promise<string>;

const execute: Execute = async (program, args) => (await promisify(execFile)(program, [...args])).stdout;

/** Kills processes of this machine, each only if it is the worker with that id: a container may have the host's name, and process ids of its own. */
export class ProcessKiller implements Killer {
  constructor(
    private readonly read: (pid: number) => Promise<LocalProcess | null> = readProcess,
    private readonly signal: (pid: number) => void = (pid) => void process.kill(pid, 'SIGKILL'),
    private readonly host: string = hostname(),
  ) {}

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

  async kill({ id, host }: Victim): Promise<void> {
    const label = `label=com.docker.compose.project=${this.project}`;
    const containers = (await this.run('docker', ['ps', '--no-trunc', '-q', '--filter', label])).split('\n');
    // The host name of a container is the beginning of its id.
    const container = containers.find((name) => host.length >= 12 && name.startsWith(host));
    if (container === undefined) {
      throw new Refused(
        `cannot kill ${id}: no container of the project ${this.project} has the host name ${host}; check --compose, and that the service sets no hostname`,
      );
    }
    await this.run('docker', ['kill', container]);
    await this.run('docker', ['start', container]);
  }
}
