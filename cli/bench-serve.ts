import { readValues } from '../src/config/config.js';
import type { CommandContext } from './context.js';

/** `shoal bench serve`: a load on a running server, or on fleets that it starts. The exit code is 1 if a bound is missed. */
export async function benchServe(context: CommandContext): Promise<number> {
  const values = readValues('bench', context);
  const { serve } = await import('../bench/serve.js');
  const { formatReport } = await import('../bench/report.js');
  const report = await serve({
    scenario: values.scenario,
    requests: values.requests ?? REQUESTS,
    scalePercent: values.scalePercent,
    rate: values.rate,
    arrivals: values.arrivals,
    clients: values.clients,
    objective: { ttftMs: values.sloTtft, tpotMs: values.sloTpot },
    seed: values.seed,
    rounds: values.rounds ?? ROUNDS,
    url: values.target === null ? null : new URL(values.target),
    key: values.apiKey,
    workers: values.workers,
    result: values.out,
    progress: (line) => context.io.err(`${line}\n`),
  });
  context.io.out(values.json ? `${JSON.stringify(report)}\n` : `${formatReport(report)}\n`);
  return report.ratios.every(({ holds }) => holds) ? 0 : 1;
}

const REQUESTS = 100;
const ROUNDS = 7;
