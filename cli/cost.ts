import { formatByteSize } from '../src/byte-size.js';
import { measuredIn, measuredWorkload } from '../src/core/capacity/measured.js';
import { type SharingCost, sharingCost } from '../src/core/capacity/sharing-cost.js';
import { Unavailable } from '../src/errors.js';
import { callHttp } from './call-http.js';
import type { CommandContext } from './context.js';
import { table } from './table.js';
import {
  costValues,
  count,
  describeTrace,
  money,
  percent,
  type TracedWorkload,
  tracedWorkload,
} from './traced-workload.js';

/** `shoal cost TRACE`: the monthly saving from shared blocks, and whether sharing pays. */

/** Sizes of memory for which hits are shown: each twice the one before, around the given one. */
const SHOWN_STEPS = [-3, -2, -1, 0, 1, 2, 3];

/** Tokens of a block, in which the memory of a worker is counted. */
const BLOCK_TOKENS = 64;
const METRICS_TIMEOUT_MS = 5_000;

/** Prints the cost and benefit of sharing for a trace. The exit code is 0 whether or not it pays. */
export async function cost(context: CommandContext): Promise<number> {
  if (/^https?:\/\//.test(context.args[0] ?? '')) return costOfFleet(new URL(context.args[0]!), context);
  const traced = await tracedWorkload('cost', context);
  const { values, workload } = traced;
  const outcome = sharingCost(workload, machineryOf(values), pricesOf(values));
  const curve = SHOWN_STEPS.map((step) => hitsAt(traced, values.cacheBytes * 2 ** step));
  if (values.json)
    context.io.out(`${JSON.stringify({ ...outcome, curve, sample: { rate: traced.rate, error: workload.error } })}\n`);
  else context.io.out(`${[describeTrace(traced), '', curveTable(curve), '', ...lines(outcome)].join('\n')}\n`);
  return 0;
}

/** The same for a fleet that runs, from the metrics of one of its coordinators. @throws Unavailable if it has none */
async function costOfFleet(url: URL, context: CommandContext): Promise<number> {
  const values = costValues('cost', context);
  const metrics = new URL('/metrics', url);
  const signal = AbortSignal.timeout(METRICS_TIMEOUT_MS);
  const response = await callHttp(metrics, { signal }).catch((cause: Error) => {
    throw new Unavailable(`${metrics.href}: ${cause.message}; start the fleet, or name another coordinator`, { cause });
  });
  const measured = response.ok ? measuredIn(await response.text(), Date.now() / 1_000) : null;
  if (measured === null)
    throw new Unavailable(
      `${metrics.href}: no metrics of a coordinator, HTTP status ${response.status}; name another address`,
    );
  const workload = measuredWorkload(measured, BLOCK_TOKENS);
  const outcome = sharingCost(workload, machineryOf(values), pricesOf(values));
  const { local, remote, computed } = measured.tokens;
  const seen = `${count(workload.promptTokens)} prompt tokens in ${count(workload.seconds)} s at this coordinator: ${count(local)} local, ${count(remote)} from peers, ${count(computed)} computed`;
  if (values.json) context.io.out(`${JSON.stringify({ ...outcome, measured })}\n`);
  else context.io.out(`${[seen, '', ...lines(outcome)].join('\n')}\n`);
  return 0;
}

function machineryOf(values: TracedWorkload['values']) {
  return {
    ...{ workers: values.workers, cacheBytes: values.cacheBytes, kvBytesPerToken: values.kvBytes },
    ...{ prefillTokensPerS: values.prefillRate, decodeTokensPerS: values.decodeRate },
    networkBytesPerS: values.networkRate,
  };
}

function pricesOf(values: TracedWorkload['values']) {
  return { gpuHour: values.gpuPrice, gibMonth: values.memoryPrice, networkGib: values.networkPrice };
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
    `saved: ${money(saved)} a month in the currency of the prices, less ${money(memory)} for memory and ${money(network)} for traffic: ${money(net)}`,
    `breaks even: ${gain}, and over a network of ${formatByteSize(outcome.breakEvenBytesPerS)} a second`,
    verdict.pays ? 'Sharing pays.' : `Sharing does not pay: ${verdict.because.join('; ')}.`,
  ];
}
