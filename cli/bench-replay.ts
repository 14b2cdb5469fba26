import { writeFileSync } from 'node:fs';
import { readValues } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import type { CommandContext } from './context.js';

/** `shoal bench replay FILE`: replays a trace in virtual time. The exit code is 1 if a bound is missed. */
export async function benchReplay(context: CommandContext): Promise<number> {
  const values = readValues('bench', context);
  const { replay } = await import('../bench/replay.js');
  const { DRAWN_TRACES } = await import('../bench/replay/trace.js');
  const trace = context.args[1];
  if (trace === undefined) {
    throw new WrongUsage(
      `bench replay: must name a file of requests, or one of ${DRAWN_TRACES.join(', ')}, got nothing`,
    );
  }
  const { requests, replayWorkers: workers, memoryPercent, replicas, durability, loadPercent, kill: kills } = values;
  const progress = (line: string) => context.io.err(`${line}\n`);
  const report = await replay({
    ...{ trace, requests, workers, memoryPercent, replicas, durability, loadPercent, kills },
    progress,
  });
  const { formatReport } = await import('../bench/report.js');
  if (values.out !== null) writeFileSync(values.out, `${JSON.stringify(report)}\n`);
  context.io.out(values.json ? `${JSON.stringify(report)}\n` : `${formatReport(report)}\n`);
  return report.ratios.every(({ holds }) => holds) ? 0 : 1;
}
