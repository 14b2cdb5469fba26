import type { EnvironmentVariables, Flags } from '../src/config/read-options.js';

/** What a command gets of the world. It answers with the exit code: 0 done, 1 failed. Wrong usage is thrown, and is 2. */
export interface CommandContext {
  readonly flags: Flags;
  /** Arguments without flags, in order. */
  readonly args: readonly string[];
  readonly environment: EnvironmentVariables;
  readonly io: Io;
}

export interface Io {
  out(text: string): void;
  err(text: string): void;
}

export type CommandRun = (context: CommandContext) => Promise<number>;
