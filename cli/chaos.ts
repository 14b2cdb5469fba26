import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Fault } from '../bench/chaos/fault.js';
import type { ChaosReport, ChaosRow } from '../bench/chaos/verdict.js';
import { SystemClock } from '../src/clock.js';
import { CHAOS_OPTIONS } from '../src/config/chaos-options.js';
import type { OptionValues } from '../src/config/option.js';
import { readOptions } from '../src/config/read-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { SeededRandom, SystemRandom } from '../src/random.js';
import type { CommandContext } from './context.js';
import { exit, signalCode } from './exit.js';
import { Interrupts } from './interrupts.js';
import { natsProgram } from './nats/nats-process.js';

type ChaosValues = OptionValues<typeof CHAOS_OPTIONS>;

/** `shoal chaos`: injects faults into fleets and prints what they survived. The exit code is 1 if a row fails, and that of a signal if one ended it. */
export async function chaos(context: CommandContext): Promise<number> {
  const values = readOptions(CHAOS_OPTIONS, 'chaos', context.flags, context.environment);
  if (values.list) {
    const { formatFaults } = await import('../bench/chaos/table.js');
    const faults = await chosenFaults(context.args, values.short);
    const rows = faults.map(({ name, row, passesWhen, expectedS }) => ({
      ...{ fault: name, row, passes_when: passesWhen, expected_s: expectedS },
    }));
    context.io.out(values.json ? `${JSON.stringify(rows)}\n` : `${formatFaults(faults)}\n`);
    return 0;
  }
  const interrupts = new Interrupts(process, new SystemClock());
  void interrupts.second.then(() => exit(signalCode(interrupts.signal ?? 'SIGINT')));
  try {
    const code = await runAndReport(context, values, interrupts);
    return interrupts.signal === null ? code : signalCode(interrupts.signal);
  } catch (error) {
    if (interrupts.signal === null) throw error;
    return signalCode(interrupts.signal);
  } finally {
    interrupts.close();
  }
}

/** The first signal ends the current row, and the report has the rows until then. */
async function runAndReport(context: CommandContext, values: ChaosValues, interrupts: Interrupts): Promise<0 | 1> {
  const { machineLine } = await import('../bench/report.js');
  const { formatChaos } = await import('../bench/chaos/table.js');
  const { exitCode } = await import('../bench/chaos/verdict.js');
  const seed = values.seed ?? new SystemRandom().below(0x1_0000_0000);
  const { url } = values;
  const abort = new AbortController();
  void interrupts.first.then(() => abort.abort());
  const rows =
    url === null
      ? await runRows(context, values, seed, abort.signal)
      : [await runRunning(context, { ...values, url }, seed, abort.signal)];
  const report: ChaosReport = { name: 'chaos', machine: machineLine(), seed, rows };
  if (values.out !== null) await writeFile(values.out, `${JSON.stringify(report, null, 1)}\n`);
  context.io.out(values.json ? `${JSON.stringify(report)}\n` : `${formatChaos(report)}\n`);
  return exitCode(rows);
}

async function runRows(
  context: CommandContext,
  values: ChaosValues,
  seed: number,
  signal: AbortSignal,
): Promise<ChaosRow[]> {
  const progress = (line: string) => context.io.err(`${line}\n`);
  const faults = await chosenFaults(context.args, values.short);
  const { runFaults } = await import('../bench/chaos/runner.js');
  const cli = fileURLToPath(new URL('./main.js', import.meta.url));
  const natsServer = await natsProgram(context.environment.SHOAL_NATS_SERVER ?? null, progress);
  return runFaults(faults, { seed, cli, natsServer, progress, soakMs: values.for, signal });
}

/** Against a fleet that is already running. */
async function runRunning(
  context: CommandContext,
  values: ChaosValues & { readonly url: string },
  seed: number,
  signal: AbortSignal,
): Promise<ChaosRow> {
  if (context.args.length > 0 || values.short)
    throw new WrongUsage('--url: must stand without names of faults and without --short: they get fleets of their own');
  const { runningChaos } = await import('../bench/chaos/running/running-chaos.js');
  const { ComposeKiller, ProcessKiller } = await import('../bench/chaos/running/killer.js');
  const { url, apiKey, kill, clients, compose } = values;
  return runningChaos({
    ...{ url, apiKey, kill, clients, signal },
    everyMs: values.every,
    forMs: values.for,
    killer: compose === null ? new ProcessKiller() : new ComposeKiller(compose),
    random: new SeededRandom(seed),
    progress: (line) => context.io.err(`${line}\n`),
  });
}

/** The faults with these names, in the table's order; all if there are no names. @throws WrongUsage */
async function chosenFaults(names: readonly string[], short: boolean): Promise<readonly Fault[]> {
  const { FAULTS, SHORT } = await import('../bench/chaos/registry.js');
  if (short && names.length > 0) throw new WrongUsage(`--short: must stand without names of faults, got ${names[0]}`);
  for (const name of names) {
    if (!FAULTS.some((fault) => fault.name === name)) {
      const known = FAULTS.map((fault) => fault.name).join(', ');
      throw new WrongUsage(`chaos: must be names from ${known}, got ${JSON.stringify(name)}`);
    }
  }
  if (short) return FAULTS.filter(({ name }) => SHORT.includes(name));
  return names.length === 0 ? FAULTS : FAULTS.filter(({ name }) => names.includes(name));
}
