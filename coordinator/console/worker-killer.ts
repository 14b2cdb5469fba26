import { hostname } from 'node:os';
import type { Member } from '../../src/core/member.js';
import { Refused } from '../../src/errors.js';
import type { PoisonGuard } from '../poison/poison-guard.js';

/**
 * Kills workers of this machine with SIGKILL, so that people can watch the fleet heal. The prompts that ran there are not to blame for the death.
 * The result throws `Refused` for a worker on another machine, and for one that is gone or belongs to another user.
 */
export function workerKiller(
  poison: Pick<PoisonGuard, 'killed'>,
  kill: (pid: number) => void = (pid) => process.kill(pid, 'SIGKILL'),
): (worker: Member) => void {
  return ({ id, incarnation, host, pid }) => {
    if (host !== hostname()) throw new Refused(`cannot kill worker '${id}': it runs on another machine, ${host}`);
    // Smaller numbers mean groups of processes, or the first process of a machine.
    if (pid <= 1) throw new Refused(`cannot kill worker '${id}': it announces no process of its own`);
    poison.killed(id, incarnation);
    try {
      kill(pid);
    } catch (error) {
      throw new Refused(`cannot kill worker '${id}' (pid ${pid}): ${(error as Error).message}`);
    }
  };
}
