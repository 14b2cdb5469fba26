import { randomBytes, randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchModel, randomTokens } from './bench-model.js';
import { streamed } from './first-token.js';
import { type BenchOptions, machineLine, type Report, type ReportRatio, reportRow } from './report.js';
import { type Probe, type RocArea, rocArea } from './roc.js';
import { RunningFleet } from './running-fleet.js';
import { ScratchFolder } from './scratch-folder.js';

/** Benchmark `oracle`: how much the time to the first token reveals to a caller about other callers' prompts. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const PROMPT_TOKENS = 256;
const TRIALS = 40;
/** Blocks are kept after the answer. */
const KEPT_MS = 50;
/** The distance from one half that counts as nothing, and the least area at which the oracle is known to work. */
const NOTHING = 0.05;
const WORKS = 0.9;

/** Two callers: the prompts of the first are the secret. */
interface Pairing {
  readonly name: string;
  readonly victim: string;
  readonly attacker: string;
  readonly border: boolean;
}

const PAIRINGS: readonly Pairing[] = [
  { name: 'in one salt', victim: 'ann', attacker: 'art', border: false },
  { name: 'across tenants', victim: 'ann', attacker: 'bob', border: true },
  { name: 'across keys of a tenant', victim: 'ann', attacker: 'kim', border: true },
];

const ENTRIES = [
  { id: 'ann', tenant: 'acme' },
  { id: 'art', tenant: 'acme' },
  { id: 'kim', tenant: 'acme', salt_scope: 'key' },
  { id: 'bob', tenant: 'beta' },
];

/**
 * One worker serves all callers. In each trial a victim sends a new prompt, and an attacker then sends the same one and a prompt never sent before,
 * in random order. The pairings take turns, so that the machine's other work affects all of them.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const scratch = new ScratchFolder('oracle');
  const secrets = new Map(ENTRIES.map(({ id }) => [id, randomBytes(24).toString('hex')]));
  const keysFile = join(scratch.path, 'keys.json');
  const keys = ENTRIES.map((entry) => ({ ...entry, secret: secrets.get(entry.id)! }));
  writeFileSync(keysFile, JSON.stringify({ keys }), { mode: 0o600 });
  progress('starting one worker');
  try {
    const fleet = await RunningFleet.up(CLI, ['--workers', '1', '--model', model, '--keys-file', keysFile]);
    try {
      return reportOf(await measured(fleet, (id) => secrets.get(id)!, rounds ?? TRIALS, progress));
    } finally {
      await fleet.stop();
    }
  } finally {
    await scratch.remove();
  }
}

type Measured = readonly { readonly pairing: Pairing; readonly trials: readonly Probe[] }[];

async function measured(
  fleet: RunningFleet,
  keyOf: (id: string) => string,
  trials: number,
  progress: BenchOptions['progress'],
): Promise<Measured> {
  const all = PAIRINGS.map((pairing) => ({ pairing, trials: [] as Probe[] }));
  for (let i = -1; i < trials; i++) {
    for (const { pairing, trials: own } of all) {
      const trial = await attack(fleet, keyOf(pairing.victim), keyOf(pairing.attacker));
      // The first trials warm the worker up.
      if (i >= 0) own.push(trial);
    }
    if (i % 10 === 9) progress(`${i + 1} of ${trials} trials`);
  }
  return all;
}

/** The attacker's times to the first token, for the victim's prompt and for a new one. */
async function attack(fleet: RunningFleet, victim: string, attacker: string): Promise<Probe> {
  const worker = fleet.ready.workers[0]!.id;
  const [asked, unasked] = [randomTokens(PROMPT_TOKENS), randomTokens(PROMPT_TOKENS)];
  const ttftMs = async (key: string, prompt: readonly number[]) => {
    const { ttftMs: ms } = await streamed(fleet, prompt, 1, worker, { key });
    await new Promise((resolve) => setTimeout(resolve, KEPT_MS));
    return ms;
  };
  await ttftMs(victim, asked);
  if (randomInt(2) === 0) {
    const less = await ttftMs(attacker, asked);
    return { less, more: await ttftMs(attacker, unasked) };
  }
  const more = await ttftMs(attacker, unasked);
  return { less: await ttftMs(attacker, asked), more };
}

function reportOf(all: Measured): Report {
  return {
    name: 'oracle',
    machine: machineLine(),
    rows: all.flatMap(({ pairing: { name }, trials }) => [
      reportRow(
        `${name}: first token of a prompt that the other asked`,
        'ms',
        trials.map(({ less }) => less),
      ),
      reportRow(
        `${name}: first token of a new prompt`,
        'ms',
        trials.map(({ more }) => more),
      ),
    ]),
    ratios: all.map(({ pairing, trials }) => verdict(pairing, rocArea(trials, randomInt))),
  };
}

/** Across a border, the bound is missed if the interval lies outside of what counts as nothing; in one salt, if the oracle does not work. */
function verdict({ name, border }: Pairing, { area, low, high }: RocArea): ReportRatio {
  const common = { name: `AUC ${name}, with 95 % confidence`, unit: '', value: area, min: low, max: high };
  if (!border) return { ...common, bound: { kind: 'at least', value: WORKS }, holds: high >= WORKS };
  const holds = low <= 0.5 + NOTHING && high >= 0.5 - NOTHING;
  return { ...common, bound: { kind: 'at most', value: 0.5 + NOTHING }, holds };
}
