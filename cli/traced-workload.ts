import { COST_OPTIONS } from '../src/config/cost-options.js';
import type { OptionValues } from '../src/config/option.js';
import { readOptions } from '../src/config/read-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { type Workload, workloadOf } from '../src/core/capacity/workload.js';
import type { CommandContext } from './context.js';

/** The workload of the trace that `shoal cost` and `shoal plan` name. */

/** References to blocks from which hits are estimated by default. */
const SAMPLED_REFERENCES = 1_000_000;
/** A sample whose error is larger may mislead. */
const GOOD_ERROR = 0.02;

type CostValues = OptionValues<typeof COST_OPTIONS>;

export interface TracedWorkload {
  readonly values: CostValues;
  readonly workload: Workload;
  /** Share of the blocks in the sample. */
  readonly rate: number;
}

/** @throws WrongUsage if no trace is named, it cannot be read, or an option is wrong */
export async function tracedWorkload(command: 'cost' | 'plan', context: CommandContext): Promise<TracedWorkload> {
  const values = costValues(command, context);
  const { openTrace, TRACE_BLOCK_TOKENS } = await import('../bench/replay/trace.js');
  const trace = openTrace(context.args[0] ?? '', values.requests);
  const references = trace.reduce((sum, { ids }) => sum + ids.length, 0);
  const rate = values.sample ?? Math.min(1, SAMPLED_REFERENCES / references);
  return { values, workload: workloadOf(trace, TRACE_BLOCK_TOKENS, rate), rate };
}

/** The options of both commands. @throws WrongUsage if one is wrong */
export function costValues(command: 'cost' | 'plan', context: CommandContext): CostValues {
  const values = readOptions(COST_OPTIONS, command, context.flags, context.environment);
  if (values.sample === 0) throw new WrongUsage('--sample (SHOAL_SAMPLE): must be more than 0, got "0"');
  for (const [flag, rate] of [
    ['--prefill-rate (SHOAL_PREFILL_RATE)', values.prefillRate],
    ['--decode-rate (SHOAL_DECODE_RATE)', values.decodeRate],
  ] as const) {
    if (rate === 0) throw new WrongUsage(`${flag}: must be more than 0, got "0"`);
  }
  return values;
}

/** The lines that describe the measured trace, and a warning where its sample may mislead. */
export function describeTrace({ workload, rate }: TracedWorkload): string {
  const { requests, seconds, promptTokens, distinctBlocks, blockTokens } = workload;
  const blocks = `${count(distinctBlocks)} distinct blocks of ${blockTokens} tokens`;
  const sample = rate === 1 ? 'every block counted' : `estimated from ${percent(rate)} of the blocks`;
  const line = `${count(requests)} requests in ${count(seconds)} s, ${count(promptTokens)} prompt tokens, ${blocks}; ${sample}`;
  return workload.error <= GOOD_ERROR ? line : `${line}\n${coarse(workload)}`;
}

function coarse({ error }: Pick<Workload, 'error'>): string {
  return `warning: a few blocks have many of the references, and the sample may be off by ${percent(error)} of them; use --sample 1`;
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** An amount of money, to cents. */
export function money(value: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}
