import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Of Linux, for all machines that Node runs on. */
const TICKS_PER_SECOND = 100;

/**
 * Seconds of CPU time that the machine has had so far for these processes and this one: the seconds that they used, and the idle ones.
 * Rates over this time do not depend on the other work of the machine. Without `/proc`, all time of all cores.
 */
export function cpuSecondsFor(pids: readonly number[]): number {
  if (!existsSync('/proc/self/stat')) return (performance.now() / 1000) * cpus().length;
  const idleMs = cpus().reduce((sum, { times }) => sum + times.idle, 0);
  const used = [process.pid, ...pids].reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  return idleMs / 1000 + used;
}

/** Seconds of CPU time that a process has used so far; Linux only. */
export function cpuSecondsOf(pid: number): number {
  // The name of the program, in parentheses, may have spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
