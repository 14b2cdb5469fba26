import { type ConfigSource, readValues } from '../src/config/config.js';
import type { OptionSpec } from '../src/config/option.js';
import { OPTIONS, type Values } from '../src/config/options.js';
import type { RunningRole } from '../src/running-role.js';
import type { CommandContext } from './context.js';

/** Reloads the options of a running role: the changeable ones in `--config`, and the files that options name. */

type Role = 'coordinator' | 'worker' | 'node';
type Line = (level: 'info' | 'warn' | 'error', text: string) => void;

/** At each call the options are read as at the start. If one is wrong, all stay as they are. Never rejects. */
export class OptionReload {
  private values: Values;

  constructor(
    private readonly role: Role,
    private readonly context: CommandContext,
    private readonly line: Line,
  ) {
    this.values = readValues(role, context);
  }

  async run({ reload }: Pick<RunningRole, 'reload'>): Promise<void> {
    try {
      const next = readValues(this.role, this.source());
      const stale = changed(this.values, next).filter(([, { reload }]) => reload !== 'value');
      if (stale.length > 0) {
        const names = stale.map(([, { flag, variable }]) => flag ?? variable);
        this.line('warn', `changed options that need a restart: ${names.join(', ')}`);
      }
      const { logLevel, otlpSampling } = next;
      this.values = { ...this.values, logLevel, otlpSampling };
      const level = logLevel ?? 'info';
      const faults = (await reload?.({ logLevel: level, traceRatio: otlpSampling })) ?? [];
      if (faults.length === 0) this.line('info', `read options and files again: log level ${level}`);
      else this.line('error', `read options again: log level ${level}; files stay as they were: ${faults.join('; ')}`);
    } catch (error) {
      this.line('error', `the options stay as they were: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private source(): ConfigSource {
    const { flags, environment, reread } = this.context;
    return { flags, environment: reread?.() ?? environment };
  }
}

function changed(before: Values, after: Values): [string, OptionSpec][] {
  const specs: [string, OptionSpec][] = Object.entries(OPTIONS);
  return specs.filter(
    ([key]) => JSON.stringify(before[key as keyof Values]) !== JSON.stringify(after[key as keyof Values]),
  );
}
