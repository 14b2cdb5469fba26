import type { EnvironmentVariables, Flags } from '../src/config/read-options.js';

/** The input and output of a command: flags, arguments, environment, streams. */
export interface CommandContext {
  readonly flags: Flags;
  /** Arguments without flags, in order. */
  readonly args: readonly string[];
  readonly environment: EnvironmentVariables;
  readonly io: Io;
  /** The environment with the options file read again. @throws WrongUsage */
  readonly reread?: () => EnvironmentVariables;
}

export interface Io {
  out(text: string): void;
  err(text: string): void;
}

/** Runs a command. Resolves with the exit code, 0 (done) or 1 (failed). @throws WrongUsage, which becomes exit code 2 */
export type CommandRun = (context: CommandContext) => Promise<number>;
