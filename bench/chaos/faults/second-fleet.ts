import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { FleetApi } from '../../fleet/fleet-api.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import type { ChaosContext } from '../context.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { rowOf, serving } from '../views.js';

const RESTARTED_MS = 20_000;

/** Two fleets of one user that do not see each other's processes. */
export const secondFleet: Fault = {
  name: 'second-fleet',
  row: 'a second fleet of the same user on the machine, another PID namespace, the same temporary folder; a worker of the first is killed',
  passesWhen: 'neither harms the other: the killed worker is back, failed requests of both 0',
  bounds: { ...NO_HARM, failed_in_second: atMost(0), restarted_ms: atMost(RESTARTED_MS), lost_workers: atMost(0) },
  needs: ['pids'],
  expectedS: 30,
  async run(context) {
    const fleet = await context.up(['--workers', '2']);
    const load = context.load(new RecallLoad(fleet, 1, 100, 50));
    const second = await upElsewhere(context);
    const other = context.load(new RecallLoad(second.api, 1, 100, 50));
    const victim = context.pick(fleet.ready.workers);
    process.kill(victim.pid, 'SIGKILL');
    const restarted = async () => {
      const { pid, state } = rowOf(await fleet.workers(), victim.id);
      return state === 'serving' && pid !== victim.pid;
    };
    const restarted_ms = await context.timeUntil(2 * RESTARTED_MS, restarted);
    const { failed_requests: failed_in_second } = await context.harm(other);
    await second.stop();
    await context.pause(2_000);
    const lost_workers = 2 - serving(await fleet.workers()).length;
    return { ...(await context.harm(load)), failed_in_second: failed_in_second!, restarted_ms, lost_workers };
  },
};

/** `shoal up` in a separate PID namespace: all of it ends with the namespace's first process. */
async function upElsewhere(context: ChaosContext): Promise<{ api: FleetApi; stop: () => Promise<void> }> {
  const up = [process.execPath, context.cli, 'up', '--json', '--port', '0', '--workers', '2'];
  const args = ['--pid', '--fork', '--mount-proc', '--kill-child=SIGTERM', ...up];
  const child = spawn('unshare', args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, TMPDIR: context.folder },
  });
  const ended = once(child, 'exit');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  };
  context.life.use(child, stop);
  const first = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>;
  const [line] = await Promise.race([first, ended.then(() => Promise.reject(new Error('the second fleet ended')))]);
  return { api: new FleetApi((JSON.parse(line) as { url: string }).url), stop };
}
