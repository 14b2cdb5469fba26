import type { OptionType } from './option-types.js';

/** The type of an option, and of a table of options. */

export type Command =
  | 'up'
  | 'coordinator'
  | 'worker'
  | 'node'
  | 'run'
  | 'list'
  | 'inspect'
  | 'logs'
  | 'status'
  | 'health'
  | 'drain'
  | 'undrain'
  | 'explain'
  | 'console'
  | 'bench'
  | 'chaos'
  | 'doctor'
  | 'debug bundle'
  | 'cost'
  | 'plan'
  | 'nats-users'
  | 'nats-buckets'
  | 'key'
  | 'audit'
  | 'config print'
  | 'kv export'
  | 'kv import'
  | 'model synth'
  | 'model check'
  | 'model pull'
  | 'model list'
  | 'model rm'
  | 'model info'
  | 'adapter add'
  | 'adapter list'
  | 'adapter rm';

/** Everything that the command line, the environment, the help and docs/OPTIONS.md show of one option. */
export interface OptionSpec<T = unknown, D extends string | null = string | null> {
  /** `port` means `--port`. Null for a secret, which must not appear in a process list: it has a variable only. */
  readonly flag: string | null;
  readonly variable: string;
  /** `f` means that `-f` is the same. */
  readonly short?: string;
  /** Stands for the value in the help. Null for a switch, which has no value. */
  readonly placeholder: string | null;
  readonly type: OptionType<T>;
  /** As a user would write it. Null for no default. */
  readonly default: D;
  /** Describes a computed default. */
  readonly defaultNote?: string;
  readonly unit?: string;
  readonly commands: readonly Command[];
  readonly help: string;
  /**
   * The part that a running process reloads at SIGHUP: the value, from the options file; or the file that the value names, which is also
   * watched for changes.
   */
  readonly reload?: 'value' | 'file';
  /** For an option that names a file: the variable with the value itself. The flag wins over that variable, and the variable over this one. */
  readonly fileOf?: string;
  /** The value never appears in a message. */
  readonly secret?: true;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** The values of a table's options. An option without a default may be null. */
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

/** The flag's name as commander passes it: `nats-user` becomes `natsUser`. */
export function flagKey(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
