import type { Io } from './context.js';

/** Says what is done as it is done, a line a step. On stdout for people; on stderr where stdout is for a program. */
export class Progress {
  constructor(
    private readonly io: Io,
    private readonly json: boolean,
  ) {}

  /** One step. `who` is what it is about. */
  step(who: string, what: string): void {
    this.line(`  ${who.padEnd(14)} ${what}`);
  }

  line(text: string): void {
    if (this.json) this.io.err(`${text}\n`);
    else this.io.out(`${text}\n`);
  }
}
