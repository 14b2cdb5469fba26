import type { OptionType } from './option-types.js';

export type Command =
  | 'up'
  | 'coordinator'
  | 'worker'
  | 'status'
  | 'health'
  | 'explain'
  | 'bench'
  | 'doctor'
  | 'model synth';

/** One option: everything that the command line, the environment, the help and the README know about it. */
export interface OptionSpec<T = unknown, D extends string | null = string | null> {
  /** `port` is `--port`. Null for a variable only: a value that must not be seen in a list of processes, or that is read before flags are. */
  readonly flag: string | null;
  readonly variable: string;
  /** Stands for the value in the help. Null is a switch: given or not. */
  readonly placeholder: string | null;
  readonly type: OptionType<T>;
  /** As a user would write it; null for none. */
  readonly default: D;
  /** Says what holds where the default is computed. */
  readonly defaultNote?: string;
  readonly unit?: string;
  readonly commands: readonly Command[];
  readonly help: string;
  /** Never shown in a message. */
  readonly secret?: true;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** The values of a table's options. What has no default may be null. */
export type OptionValues<Table extends OptionTable> = {
  readonly [K in keyof Table]: Table[K] extends OptionSpec<infer T, infer D>
    ? D extends string
      ? T
      : T | null
    : never;
};

/** Keeps the types of one option's value and default. */
export function option<T, const D extends string | null>(spec: OptionSpec<T, D>): OptionSpec<T, D> {
  return spec;
}

/** The flag's name as commander hands it over: `nats-user` is `natsUser`. */
export function flagKey(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
