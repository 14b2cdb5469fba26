import type { Io } from './context.js';

/** Progress lines, one per step: on stdout for a person, on stderr if stdout is for a program. */
export class Progress {
  constructor(
    private readonly io: Io,
    private readonly json: boolean,
  ) {}

  /** Prints one step. `subject` is a process or a setting. */
  step(subject: string, text: string): void {
    this.line(`  ${subject.padEnd(14)} ${text}`);
  }

  line(text: string): void {
    if (this.json) this.io.err(`${text}\n`);
    else this.io.out(`${text}\n`);
  }
}
