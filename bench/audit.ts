import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuSecondsOf } from './fleet/cpu-time.js';
import { recallPrompt, recallSheet } from './fleet/recall-sheet.js';
import { UpFleet } from './fleet/up-fleet.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';

/** Benchmark `audit`: the CPU time that audits cost. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const ROUNDS = 3;
/** Prefixes of one round. Each is computed by one worker and then used once by the other. */
const PREFIXES = 48;
const NOTES = 24;
/** The share that is measured: so large that its cost stands out from the noise. Audits are drawn one by one, so that the cost is proportional. */
const MEASURED_ONE_IN = 2;
const DEFAULT_ONE_IN = 256;
const POLL_MS = 50;
/** Polls in a row that find a fleet without work. */
const QUIET_POLLS = 10;

/**
 * Measures the CPU time of two workers with audits and without, while one computes prefixes and the other uses each of them once: no hit finds a prefix
 * that was audited before, which is the most that audits can cost. The cost of the default share is the cost of a larger one in proportion.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  progress('starting two fleets of two workers');
  const start = (audit: string) => UpFleet.start(CLI, ['--workers', '2', '--threads', '1', '--audit', audit]);
  const [without, audited] = await Promise.all([start('off'), start(`1/${MEASURED_ONE_IN}`)]);
  const samples = { without: [] as number[], audited: [] as number[] };
  try {
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const first = 1_000_000 + PREFIXES * (round + 1);
      // The order alternates, so that drift favours none.
      const measured = new Map<UpFleet, number>();
      for (const fleet of round % 2 === 0 ? [without, audited] : [audited, without]) {
        measured.set(fleet, await cpuMsPerHit(fleet, first));
      }
      progress(
        `round ${round + 1}: ${[...measured.values()].map((ms) => ms.toFixed(1)).join(' and ')} ms of CPU a hit`,
      );
      // The first round warms up.
      if (round < 0) continue;
      samples.without.push(measured.get(without)!);
      samples.audited.push(measured.get(audited)!);
    }
  } finally {
    await Promise.all([without.stop(), audited.stop()]);
  }
  const cost = quotients(samples.audited, samples.without).map((ratio) => ratio - 1);
  const share = (oneIn: number) => cost.map((value) => (100 * value * MEASURED_ONE_IN) / oneIn);
  return {
    name: 'audit',
    machine: machineLine(),
    rows: [
      reportRow('CPU for a prefix and a hit on it, --audit off', 'ms', samples.without),
      reportRow(`the same, --audit 1/${MEASURED_ONE_IN}`, 'ms', samples.audited),
    ],
    ratios: [
      reportRatio(`cost of --audit 1/${MEASURED_ONE_IN}`, share(MEASURED_ONE_IN), null, '%'),
      reportRatio(
        `cost of --audit 1/${DEFAULT_ONE_IN}, in proportion`,
        share(DEFAULT_ONE_IN),
        { kind: 'at most', value: 1 },
        '%',
      ),
    ],
  };
}

/** CPU time of the workers for each prefix: computed by one, used by the other, and audited if that is drawn. */
async function cpuMsPerHit(fleet: UpFleet, firstSeed: number): Promise<number> {
  const pids = fleet.ready.workers.map(({ pid }) => pid);
  const [maker, user] = fleet.ready.workers.map(({ id }) => id) as [string, string];
  const usedS = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  await quiet(fleet);
  const before = usedS();
  for (let i = 0; i < PREFIXES; i++) {
    const sheet = recallSheet(NOTES, firstSeed + i);
    const prompt = recallPrompt(sheet, sheet.questions[0]!.question);
    await fleet.complete({ prompt, max_tokens: 1 }, { 'x-shoal-worker': maker });
    await fleet.complete({ prompt, max_tokens: 1 }, { 'x-shoal-worker': user });
  }
  await quiet(fleet);
  return (1000 * (usedS() - before)) / PREFIXES;
}

/** Resolves when no worker has computed anything for a while. */
async function quiet(fleet: UpFleet): Promise<void> {
  for (let polls = 0; polls < QUIET_POLLS; ) {
    const busy = (await fleet.workers()).some(({ running, waiting }) => running + waiting > 0);
    polls = busy ? 0 : polls + 1;
    await pause(POLL_MS);
  }
}
