import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FleetApi } from './fleet/fleet-api.js';
import { ATTACKS, type Attack, type Target } from './hostile/attack.js';
import { Bystander } from './hostile/bystander.js';
import { type BenchOptions, machineLine, type Report, type ReportRatio, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';
import { ScratchFolder } from './scratch-folder.js';
import { synthesize } from './synth/model-folder.js';
import { SYNTH_PRESETS } from './synth/spec.js';

/** Benchmark `hostile`: what one client can do to the others. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const ATTACKER = fileURLToPath(new URL('./hostile/attacker.js', import.meta.url));
const CONTEXT_TOKENS = 131_072;
const ROUNDS = 3;
const IDLE_MS = 2_000;
const ATTACK_MS = 4_000;
/** Health checks that are answered before the next measurement begins. */
const CALM_ANSWERS = 20;

/** A health check may take this much longer at the 99th percentile than in the idle moment before. */
const HEALTH_BOUND_MS = 100;
const GAP_BOUND_MS = 250;

/** The pre-tokenizer of Llama 3, under which a run of blanks is one word. */
const LLAMA_WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

interface Measured {
  readonly idleP99Ms: number;
  readonly p99Ms: number;
  readonly idleGapMs: number;
  readonly gapMs: number;
}

/**
 * Attacks a fleet of two workers in many ways, one after another, and measures what another client notices: the time of `/health/live` and the
 * gaps in a stream, in an idle moment and under attack by turns. The model is tiny and has a long context, so that texts may be long.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const scratch = new ScratchFolder('hostile');
  const model = scratch.path;
  try {
    await writeModel(model);
    progress('starting two workers');
    const args = ['--workers', '2', '--model', model, '--context', String(CONTEXT_TOKENS), '--sequences', '4'];
    const fleet = await RunningFleet.up(CLI, args);
    try {
      return reportOf(await measureAll(fleet, rounds ?? ROUNDS, progress));
    } finally {
      await fleet.stop();
    }
  } finally {
    await scratch.remove();
  }
}

async function writeModel(folder: string): Promise<void> {
  await synthesize({ ...SYNTH_PRESETS.tiny, contextTokens: CONTEXT_TOKENS }, folder);
  const path = join(folder, 'tokenizer.json');
  const json = JSON.parse(await readFile(path, 'utf8')) as object;
  const split = { type: 'Split', pattern: { Regex: LLAMA_WORDS }, behavior: 'Isolated', invert: false };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const pre_tokenizer = { type: 'Sequence', pretokenizers: [split, bytes] };
  await writeFile(path, JSON.stringify({ ...json, pre_tokenizer }));
}

async function measureAll(
  fleet: RunningFleet,
  rounds: number,
  progress: (line: string) => void,
): Promise<Map<Attack, Measured[]>> {
  const target = await targetOf(fleet);
  const found = new Map<Attack, Measured[]>(ATTACKS.map((attack) => [attack, []]));
  const bystander = new Bystander(fleet.url, {
    ...{ prompt: 'x', stream: true, ignore_eos: true, temperature: 0, max_tokens: CONTEXT_TOKENS - 8 },
  });
  await bystander.start();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const attack of ATTACKS) {
        const measured = await measure(attack, target, bystander);
        found.get(attack)!.push(measured);
        progress(`round ${round + 1}: ${attack.name}: ${shown(measured)}`);
      }
    }
  } finally {
    await bystander.stop();
  }
  return found;
}

async function targetOf(fleet: RunningFleet): Promise<Target> {
  const { hostname, port } = new URL(fleet.url);
  const { workers } = await new FleetApi(fleet.url).fleet();
  const peer = new URL(`tcp://${workers[0]!.address.replace(/^\w+:\/\//, '')}`);
  // A token of this model has at most three letters, so a longer text is refused unseen.
  const textBytes = CONTEXT_TOKENS * 3;
  return {
    httpHost: hostname,
    httpPort: Number(port),
    peerHost: peer.hostname,
    peerPort: Number(peer.port),
    textBytes,
  };
}

async function measure(attack: Attack, target: Target, bystander: Bystander): Promise<Measured> {
  const child = spawn(process.execPath, [ATTACKER, attack.name, JSON.stringify(target)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout!, 'data');
    await bystander.answered(CALM_ANSWERS);
    bystander.reset();
    await pause(IDLE_MS);
    const idle = bystander.figures;
    bystander.reset();
    child.stdin!.write('begin\n');
    await pause(ATTACK_MS);
    // A check that is not answered yet counts with the time until it is.
    await bystander.answered(1);
    const attacked = bystander.figures;
    return {
      ...{ idleP99Ms: p99(idle.healthMs), p99Ms: p99(attacked.healthMs) },
      ...{ idleGapMs: idle.gapMs, gapMs: attacked.gapMs },
    };
  } finally {
    await end(child);
    await bystander.answered(CALM_ANSWERS);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

function reportOf(found: ReadonlyMap<Attack, readonly Measured[]>): Report {
  const all = [...found.values()].flat();
  const ratios = [...found].flatMap(([{ name }, measured]): ReportRatio[] => [
    reportRatio(
      `${name}: /health/live, p99 above idle`,
      measured.map(({ p99Ms, idleP99Ms }) => p99Ms - idleP99Ms),
      { kind: 'at most', value: HEALTH_BOUND_MS },
      'ms',
    ),
    reportRatio(
      `${name}: longest gap in a stream`,
      measured.map(({ gapMs }) => gapMs),
      { kind: 'at most', value: GAP_BOUND_MS },
      'ms',
    ),
  ]);
  return {
    name: 'hostile',
    machine: machineLine(),
    rows: [
      reportRow(
        'idle: /health/live, p99',
        'ms',
        all.map((one) => one.idleP99Ms),
      ),
      reportRow(
        'idle: longest gap in a stream',
        'ms',
        all.map((one) => one.idleGapMs),
      ),
    ],
    ratios,
  };
}

function shown({ idleP99Ms, p99Ms, idleGapMs, gapMs }: Measured): string {
  const [idle, attacked] = [idleP99Ms, p99Ms].map((ms) => ms.toFixed(1));
  return `health p99 ${attacked} ms (idle ${idle}), gap ${gapMs.toFixed(0)} ms (idle ${idleGapMs.toFixed(0)})`;
}

function p99(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * 0.99) - 1)]!;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
