import { formatByteSize } from '../src/byte-size.js';
import { planFleet } from '../src/core/capacity/fleet-plan.js';
import { Unavailable } from '../src/errors.js';
import type { CommandContext } from './context.js';
import { describeTrace, money, percent, tracedWorkload } from './traced-workload.js';

/** `shoal plan TRACE`: how many workers, with how much memory, a workload needs. */

/** Workers of the largest fleet that is planned. */
const MOST_WORKERS = 512;

/** Prints the cheapest fleet that carries the busiest minute of a trace. @throws Unavailable if no fleet does */
export async function plan(context: CommandContext): Promise<number> {
  const traced = await tracedWorkload('plan', context);
  const { values, workload } = traced;
  const machinery = {
    ...{ kvBytesPerToken: values.kvBytes, networkBytesPerS: values.networkRate },
    ...{ prefillTokensPerS: values.prefillRate, decodeTokensPerS: values.decodeRate },
  };
  const prices = { gpuHour: values.gpuPrice, gibMonth: values.memoryPrice, networkGib: 0 };
  const limits = { mostWorkers: MOST_WORKERS, mostCacheBytes: values.cacheBytes, busy: values.busy };
  const planned = planFleet(workload, machinery, prices, limits);
  if (planned === null) {
    throw new Unavailable(
      `cannot plan a fleet: ${MOST_WORKERS} workers do not carry the busiest minute; allow more --cache-bytes or --busy, or use faster workers`,
    );
  }
  const { workers, cacheBytes, replicas, hits, busy, cost, why } = planned;
  if (values.json)
    context.io.out(`${JSON.stringify({ ...planned, sample: { rate: traced.rate, error: workload.error } })}\n`);
  else {
    const options = `--workers ${workers} --cache-bytes ${formatByteSize(cacheBytes).replace(' ', '')} --replicas ${replicas}`;
    const load = `${percent(hits)} of hits; ${percent(busy)} busy in the busiest minute; ${money(cost)} a month in the currency of --gpu-price and --memory-price`;
    context.io.out(`${[describeTrace(traced), '', options, load, ...why].join('\n')}\n`);
  }
  return 0;
}
