import { spawn } from 'node:child_process';
import { Refused } from '../../src/errors.js';

/** Faults of a process, by signals. */

/** All throw `Refused` if the process is gone or belongs to another user. */
export interface ProcessFaults {
  kill(pid: number): void;
  /** Stops the process for this many seconds. */
  pause(pid: number, seconds: number): void;
  /** Lets the process run for a fifth of the time only, for this many seconds. */
  slow(pid: number, seconds: number): void;
}

/** Stops and resumes a process, `$4` times, until the process is gone. At any end of the script, the process is resumed. */
const SCRIPT = `
trap 'kill -CONT $1 2>/dev/null' EXIT
trap 'exit' INT TERM HUP
times=0
while [ $times -lt $4 ] && kill -STOP $1; do
  sleep $2
  kill -CONT $1 || exit
  sleep $3
  times=$((times + 1))
done`;

const SLOW_STOPPED_S = 0.08;
const SLOW_RUNNING_S = 0.02;

export class SignalFaults implements ProcessFaults {
  /** Processes that are stopped now and then. */
  private readonly disturbed = new Set<number>();

  kill(pid: number): void {
    send(pid, 'SIGKILL');
  }

  pause(pid: number, seconds: number): void {
    this.stopFor(pid, seconds, 0, 1);
  }

  slow(pid: number, seconds: number): void {
    this.stopFor(pid, SLOW_STOPPED_S, SLOW_RUNNING_S, Math.round(seconds / (SLOW_STOPPED_S + SLOW_RUNNING_S)));
  }

  /** Done by a separate process, so that nothing stays stopped if this one ends. */
  private stopFor(pid: number, stoppedS: number, runningS: number, times: number): void {
    // Whether it is there, and may get signals.
    send(pid, 0);
    if (this.disturbed.has(pid))
      throw new Refused(`process ${pid} is paused or slowed down already; wait until it runs`);
    const args = ['-c', SCRIPT, 'shoal-fault', String(pid), String(stoppedS), String(runningS), String(times)];
    const script = spawn('/bin/sh', args, { detached: true, stdio: 'ignore', env: { PATH: process.env.PATH } });
    this.disturbed.add(pid);
    const over = () => this.disturbed.delete(pid);
    script.once('exit', over).once('error', over);
    script.unref();
  }
}

function send(pid: number, signal: NodeJS.Signals | 0): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    throw new Refused(`cannot send a signal to process ${pid}: ${(error as Error).message}`);
  }
}
