import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Refused } from '../src/errors.js';
import { openModelFolder } from '../src/model/folder.js';
import { type GraphSignature, graphSignature } from '../src/model/graph-signature.js';
import { kvDependence } from '../src/model/kv-dependence.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { SeededRandom } from '../src/random.js';
import {
  type ModelRow,
  type ModelsReport,
  rowHolds,
  sharePassed,
  type Verdict,
  verdictOn,
  type Way,
} from './models-table.js';
import { type BenchOptions, machineLine } from './report.js';
import { RunningFleet } from './running-fleet.js';
import { ScratchFolder } from './scratch-folder.js';
import { type Compared, PlainDecoder } from './twins/plain-decoder.js';
import { TokenTexts } from './twins/token-texts.js';
import type { Twin } from './twins/twin.js';
import { writeTwin } from './twins/twin-folder.js';
import { REFUSED_TWINS, TWINS } from './twins/twins.js';

/** Benchmark `models`: whether the graphs of many families answer through a fleet as they do by ONNX Runtime alone. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const BLOCK_TOKENS = 64;
/** The longer a prefix, the longer a worker waits for it before it computes instead. */
const PREFIX_TOKENS = 8 * BLOCK_TOKENS;
const ANSWER_TOKENS = 24;
/** Compares an answer with what ONNX Runtime takes for most likely. */
type Compare = (prompt: readonly number[], answer: readonly number[]) => Promise<Compared[]>;
/** Prompts are the same in each run. */
const SEED = 1;

/** Tokens after the prefix, of each prompt. */
const OWN_TOKENS: Readonly<Record<'cold' | 'local' | 'remote', number>> = { cold: 20, local: 11, remote: 27 };
/** Lengths of concurrent prompts without a common prefix. */
const BATCH_TOKENS = [150, 131, 33, 5];
/** Random prefixes that are tried until all blocks of one have the same home. */
const MAX_PREFIXES = 64;
const KNOWN_MS = 30_000;
const POLL_MS = 50;

interface Completion {
  readonly choices: readonly { readonly logprobs: { readonly tokens: readonly string[] } }[];
  readonly shoal: { readonly worker: string; readonly cached: { readonly local: number; readonly remote: number } };
}

/**
 * Writes the graphs of all twins, and asks a fleet of two workers for answers: with K/V that is computed, that is in the worker's memory, that
 * another worker has, and for several prompts at once. Each token is compared with the most likely one by ONNX Runtime on the same file.
 */
export async function compareModels({ progress }: BenchOptions): Promise<ModelsReport> {
  const scratch = new ScratchFolder('models');
  const runtime = OrtRuntime.open();
  try {
    const rows: ModelRow[] = [];
    for (const twin of [...TWINS, ...REFUSED_TWINS.map((refused) => refused.twin)]) {
      progress(`${twin.architecture}, ${twin.exporter}, ${dtypeOf(twin)}`);
      const dir = join(scratch.path, `twin-${rows.length}`);
      await writeTwin(twin, dir);
      rows.push(await rowOf(twin, dir, runtime));
    }
    return { name: 'models', machine: machineLine(), answerTokens: ANSWER_TOKENS, rows, ratios: [sharePassed(rows)] };
  } finally {
    runtime.release();
    await scratch.remove();
  }
}

async function rowOf(twin: Twin, dir: string, runtime: OrtRuntime): Promise<ModelRow> {
  const named = { architecture: twin.architecture, exporter: twin.exporter, dtype: dtypeOf(twin) };
  const folder = await openModelFolder(dir);
  let signature: GraphSignature;
  try {
    signature = graphSignature(folder.graph, folder.config, BLOCK_TOKENS);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const words = REFUSED_TWINS.find((refused) => refused.twin === twin)?.words;
    const loading = { kind: 'refused', reason: error.message, expected: words?.test(error.message) ?? false } as const;
    return { ...named, loading, answers: null, holds: loading.expected };
  }
  const isByRun = kvDependence(folder).kind === 'run';
  const plain = await PlainDecoder.open(runtime, folder.graphPath);
  try {
    const runTokens = isByRun ? BLOCK_TOKENS : Number.POSITIVE_INFINITY;
    const answers = await answersOf(twin, dir, (prompt, answer) => plain.compare(prompt, answer, runTokens));
    const loading = { kind: 'loaded', appends: appendsOf(signature), kv: kvOf(signature) } as const;
    return { ...named, loading, answers, holds: rowHolds({ loading, answers }) };
  } finally {
    plain.release();
  }
}

function dtypeOf({ dtype, weights, kvType }: Twin): string {
  const type = weights === 'float' ? { float32: 'fp32', float16: 'fp16' }[dtype] : weights;
  return kvType === 'float' ? type : `${type}, K/V ${kvType}`;
}

function appendsOf({ kind }: GraphSignature): 'in place' | 'by handing on' {
  return kind === 'in-place' ? 'in place' : 'by handing on';
}

function kvOf({ layout: { kvHeads, headDim, elementType, uneven, states = [] } }: GraphSignature): string {
  const shapes = new Set((uneven ?? [{ kvHeads, headDim }]).map((shape) => `${shape.kvHeads} x ${shape.headDim}`));
  return `${[...shapes].join(' and ')} ${elementType}${states.length === 0 ? '' : `, ${states.length} states`}`;
}

async function answersOf(twin: Twin, dir: string, compare: Compare): Promise<Record<Way, Verdict>> {
  // One copy of each block, so that one worker has none of them; and it fetches them, even though it computes so small a graph quickly.
  const options = ['--workers', '2', '--replicas', '1', '--fetch', 'always', '--model', dir];
  const fleet = await RunningFleet.up(CLI, options);
  try {
    return await new AskedFleet(fleet, twin.vocab, compare).all();
  } finally {
    await fleet.stop();
  }
}

/** The tokens of an answer, and how many of the prompt its worker had and fetched. */
interface Answer {
  readonly tokens: readonly Compared[];
  readonly cached: number;
  readonly fetched: number;
}

/** A fleet whose answers are compared. */
class AskedFleet {
  private readonly texts: TokenTexts;
  private readonly drawn = new SeededRandom(SEED);

  constructor(
    private readonly fleet: RunningFleet,
    private readonly vocab: number,
    private readonly compare: Compare,
  ) {
    this.texts = new TokenTexts(vocab);
  }

  /** Answers with K/V that the other worker has, that is computed, that the worker has, and of several prompts at once. */
  async all(): Promise<Record<Way, Verdict>> {
    const remote = await this.remote();
    const { prefix, home } = await this.prefixOfOneHome();
    const cold = await this.answer([...prefix, ...this.random(OWN_TOKENS.cold)], home);
    const local = await this.answer([...prefix, ...this.random(OWN_TOKENS.local)], home);
    if (cold.cached + cold.fetched !== 0 || local.cached !== PREFIX_TOKENS)
      throw new Error(`the cache gave ${cold.cached} and ${local.cached} tokens; 0 and ${PREFIX_TOKENS} are right`);
    const batch = await Promise.all(BATCH_TOKENS.map((count) => this.answer(this.random(count), home)));
    return { cold: verdict([cold]), local: verdict([local]), remote, batched: verdict(batch) };
  }

  /** An answer with K/V of the other worker. */
  private async remote(): Promise<Verdict> {
    const { prefix, home, other } = await this.prefixOfOneHome();
    await this.complete([...prefix, ...this.random(OWN_TOKENS.cold)], home);
    await this.known(prefix, home);
    const remote = await this.answer([...prefix, ...this.random(OWN_TOKENS.remote)], other);
    return remote.fetched === PREFIX_TOKENS ? verdict([remote]) : { kind: 'unfetched' };
  }

  /** Random token ids, without the end token. */
  private random(count: number): number[] {
    return Array.from({ length: count }, () => this.drawn.below(this.vocab - 1));
  }

  private async answer(prompt: readonly number[], worker: string): Promise<Answer> {
    const { choices, shoal } = await this.complete(prompt, worker);
    const ids = choices[0]!.logprobs.tokens.map((text) => this.texts.idOf(text));
    const { local, remote } = shoal.cached;
    return { tokens: await this.compare(prompt, ids), cached: local, fetched: remote };
  }

  /** A random prefix all of whose blocks have one worker as their home, so that computed there they are not copied to the other. */
  private async prefixOfOneHome(): Promise<{ prefix: number[]; home: string; other: string }> {
    const ids = this.fleet.ready.workers.map(({ id }) => id);
    for (let i = 0; i < MAX_PREFIXES; i++) {
      const prefix = this.random(PREFIX_TOKENS);
      const homes = new Set((await this.blocks(prefix)).map((block) => block.homes[0]!));
      const [home] = homes;
      const other = ids.find((id) => id !== home);
      if (homes.size === 1 && home !== undefined && other !== undefined) return { prefix, home, other };
    }
    throw new Error(`none of ${MAX_PREFIXES} prefixes has one home`);
  }

  /** Waits until the fleet knows that a worker holds all blocks of a prefix. */
  private async known(prefix: readonly number[], worker: string): Promise<void> {
    const endMs = performance.now() + KNOWN_MS;
    while (!(await this.blocks(prefix)).every(({ holders }) => holders.includes(worker))) {
      if (performance.now() > endMs)
        throw new Error(`the fleet does not know the blocks of ${worker} after ${KNOWN_MS} ms`);
      await setTimeout(POLL_MS);
    }
  }

  private async blocks(tokens: readonly number[]): Promise<readonly Whereabouts[]> {
    const response = await this.fleet.post('/v1/cache/explain', { tokens });
    return ((await response.json()) as { blocks: Whereabouts[] }).blocks;
  }

  private async complete(prompt: readonly number[], worker: string): Promise<Completion> {
    const body = { prompt, max_tokens: ANSWER_TOKENS, temperature: 0, ignore_eos: true, logprobs: 1 };
    const response = await this.fleet.post('/v1/completions', body, { 'x-shoal-worker': worker });
    if (!response.ok) throw new Error(`the fleet answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Completion;
  }
}

function verdict(answers: readonly Answer[]): Verdict {
  return verdictOn(
    answers.map(({ tokens }) => tokens),
    ANSWER_TOKENS,
  );
}

interface Whereabouts {
  readonly homes: readonly string[];
  readonly holders: readonly string[];
}
