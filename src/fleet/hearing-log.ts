import type { Member } from '../core/member.js';
import type { PacedLog } from '../paced-log.js';

/** Logs when a process hears nobody over NATS, not even itself, and when it hears the fleet again. */

export interface HearingLogOptions {
  readonly role: 'worker' | 'coordinator';
  /** Of this process, if it is a worker, which hears itself too. */
  readonly id: string | null;
  readonly log: PacedLog;
  readonly members: () => readonly Member[];
}

/** Says nothing of a process that knows no other worker, as the first of a fleet: it declares nobody dead anyway. */
export class HearingLog {
  private hasWarned = false;

  constructor(private readonly options: HearingLogOptions) {}

  changed(hears: boolean): void {
    const { role, id, log, members } = this.options;
    const warns = hears ? this.hasWarned : members().some((member) => member.id !== id && member.state !== 'dead');
    this.hasWarned = warns && !hears;
    if (!warns) return;
    log.state(
      'hearing',
      'warn',
      {},
      hears
        ? `this ${role} hears the fleet again`
        : `this ${role} hears nobody, and declares no worker dead; check that NATS, this machine and the network between them are not overloaded`,
    );
  }
}
