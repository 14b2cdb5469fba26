import { formatByteSize } from '../src/config/byte-size.js';
import { type SharingCost, sharingCost } from '../src/core/capacity/sharing-cost.js';
import type { CommandContext } from './context.js';
import { table } from './table.js';
import { count, describeTrace, money, percent, type TracedWorkload, tracedWorkload } from './traced-workload.js';

/** `shoal cost TRACE`: what it saves a month that workers share their blocks, and whether it pays. */

/** Sizes of memory for which hits are shown: each twice the one before, around the given one. */
const SHOWN_STEPS = [-3, -2, -1, 0, 1, 2, 3];

/** Prints the cost and benefit of sharing for a trace. The exit code is 0 whether or not it pays. */
export async function cost(context: CommandContext): Promise<number> {
  const traced = await tracedWorkload('cost', context);
  const { values, workload } = traced;
  const machinery = {
    ...{ workers: values.workers, cacheBytes: values.cacheBytes, kvBytesPerToken: values.kvBytes },
    ...{ prefillTokensPerS: values.prefillRate, decodeTokensPerS: values.decodeRate },
    networkBytesPerS: values.networkRate,
  };
  const prices = { gpuHour: values.gpuPrice, gibMonth: values.memoryPrice, networkGib: values.networkPrice };
  const outcome = sharingCost(workload, machinery, prices);
  const curve = SHOWN_STEPS.map((step) => hitsAt(traced, values.cacheBytes * 2 ** step));
  if (values.json) context.io.out(`${JSON.stringify({ ...outcome, curve })}\n`);
  else context.io.out(`${[describeTrace(traced), '', curveTable(curve), '', ...lines(outcome)].join('\n')}\n`);
  return 0;
}

interface HitsAt {
  /** Of each worker. */
  readonly cacheBytes: number;
  readonly shared: number;
  readonly apart: number;
}

function hitsAt({ workload, values: { workers, kvBytes } }: TracedWorkload, cacheBytes: number): HitsAt {
  const blocksEach = Math.floor(cacheBytes / (kvBytes * workload.blockTokens));
  return { cacheBytes, shared: workload.shared(workers * blocksEach), apart: workload.apart(workers, blocksEach) };
}

function curveTable(curve: readonly HitsAt[]): string {
  const rows = curve.map(({ cacheBytes, shared, apart }) => [
    formatByteSize(cacheBytes),
    percent(shared),
    percent(apart),
  ]);
  return table(['MEMORY OF EACH', 'HITS SHARED', 'HITS APART'], rows);
}

function lines({ verdict, ...outcome }: SharingCost): string[] {
  const { hits, savedTokensPerMonth, savedGpuHours, saved, memory, network, net, breakEvenGain } = outcome;
  const gain = breakEvenGain === null ? 'at no gain in hits' : `at a gain of ${percent(breakEvenGain)} in hits`;
  return [
    `hits: ${percent(hits.shared)} shared, ${percent(hits.apart)} if each worker keeps its own`,
    `not computed: ${count(savedTokensPerMonth)} tokens a month, ${count(savedGpuHours)} worker hours`,
    `saved: ${money(saved)} a month, less ${money(memory)} for memory and ${money(network)} for traffic: ${money(net)}`,
    `breaks even: ${gain}, and over a network of ${formatByteSize(outcome.breakEvenBytesPerS)} a second`,
    verdict.pays ? 'Sharing pays.' : `Sharing does not pay: ${verdict.because.join('; ')}.`,
  ];
}
