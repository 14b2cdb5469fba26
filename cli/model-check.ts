import { readFile, stat } from 'node:fs/promises';
import { formatByteSize } from '../src/byte-size.js';
import { SystemClock } from '../src/clock.js';
import { readValues } from '../src/config/config.js';
import { dependenceNotice } from '../src/core/kv-dependence.js';
import { blockBytes, statesBytes, tokenBytes } from '../src/core/kv-layout.js';
import { runBytes } from '../src/core/run-memory.js';
import { chooseDevice, surveyDevices } from '../src/device/choose.js';
import { openDevice } from '../src/device/open.js';
import { checkReference, checkWays, referenceTokens, roundingOf, type WayCheck } from '../src/engine/model-check.js';
import { loadModelGraph, type ModelGraph } from '../src/engine/model-graph.js';
import { parseReference, type Reference, type ReferenceComparison } from '../src/engine/reference.js';
import { runDemand } from '../src/engine/run-demand.js';
import { Refused } from '../src/errors.js';
import type { PullEvent } from '../src/hub/pull-ports.js';
import { Lifecycle } from '../src/lifecycle.js';
import { PREFILL_CHUNK_TOKENS } from '../src/limits.js';
import { weightDigests } from '../src/model/fingerprint.js';
import { type ModelFolder, openModelFolder } from '../src/model/folder.js';
import { type ModelFacts, modelFacts } from '../src/model/model-facts.js';
import { parsePythonJson } from '../src/model/python-json.js';
import { OrtRuntime } from '../src/ort/runtime.js';
import { TextTasks } from '../src/text/text-task.js';
import type { CommandContext } from './context.js';
import { placedModel } from './hub-model.js';
import { eventText } from './pull-report.js';
import { table } from './table.js';

/** `shoal model check`: describes a model, and shows whether it computes the same numbers in every way of running it. */

/** The largest reference file that is read. */
const REFERENCE_BYTES = 64 * 2 ** 20;
/** Blocks on the device, and tokens of a sequence, with which the ways are compared: a block and some tokens more. */
const BLOCKS = 2;
const SEQUENCES = 2;

interface ModelReport {
  readonly model: ModelFacts;
  readonly graph: Pick<ModelGraph, 'kind' | 'layout' | 'dependence' | 'vocab' | 'contextTokens'>;
  readonly device: { readonly kind: string; readonly why: string };
  readonly bytes: {
    readonly weights: number;
    readonly perToken: number;
    readonly perBlock: number;
    /** A sequence of the whole context. */
    readonly perSlot: number;
    /** An estimate from above of what a run takes at the end of such a sequence, on the CPU. */
    readonly perRun: number;
  };
  /** The greatest difference of log-probabilities that rounding explains. */
  readonly rounding: number;
  readonly ways: readonly WayCheck[];
  readonly reference: ReferenceComparison | null;
  /** The disagreements, in words. */
  readonly disagreements: readonly string[];
}

/** Checks the model in the folder of the first argument. The exit code is 1 if something disagrees. */
export async function modelCheck(context: CommandContext): Promise<number> {
  const values = readValues('model check', context);
  const device = chooseDevice(values.device, surveyDevices()).provider.name;
  const onEvent = (event: PullEvent) => context.io.err(`${eventText(event)}\n`);
  const ports = { clock: new SystemClock(), signal: new AbortController().signal, onEvent };
  const { dir, graph: file } = await placedModel(context.args[0] ?? null, values, device, context.environment, ports);
  const folder = await openModelFolder(dir, { file });
  const reference = values.reference === null ? null : await readReference(values.reference);
  const life = new Lifecycle();
  let report: ModelReport;
  try {
    report = await checked(life, folder, values.device, reference);
  } finally {
    await life.stop();
  }
  context.io.out(values.json ? `${JSON.stringify(report)}\n` : `${describe(report)}\n`);
  return report.disagreements.length === 0 ? 0 : 1;
}

async function readReference(path: string): Promise<Reference> {
  const found = await stat(path).catch(() => null);
  if (!found?.isFile()) throw new Refused(`--reference (SHOAL_REFERENCE): ${path} is not a file`);
  if (found.size > REFERENCE_BYTES)
    throw new Refused(
      `--reference (SHOAL_REFERENCE): ${path} has ${found.size} bytes; at most ${REFERENCE_BYTES} are allowed`,
    );
  const text = await readFile(path, 'utf8');
  try {
    return parseReference(parsePythonJson(text), path);
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new Refused(`cannot read the reference ${path}: it is not JSON`, { cause: error });
    throw error;
  }
}

async function checked(
  life: Lifecycle,
  folder: ModelFolder,
  asked: Parameters<typeof chooseDevice>[0],
  reference: Reference | null,
): Promise<ModelReport> {
  const facts = modelFacts(folder);
  const { byteLength: weights } = await weightDigests(folder);
  // Refused here rather than by the coordinator, which alone needs the tokenizer and the template.
  const { tokenizer } = await TextTasks.load(folder);
  const { provider, why } = chooseDevice(asked, surveyDevices());
  const runtime = life.use(OrtRuntime.open(), (open) => open.release());
  const graph = life.use(
    await loadModelGraph(runtime, folder, { provider, threads: 0, allowSpinning: false }),
    (loaded) => loaded.release(),
  );
  const { layout, dependence, kind, vocab, contextTokens } = graph;
  const capacityTokens = capacityOf(graph, reference);
  const device = life.use(
    await openDevice(runtime, provider, {
      ...{ layout, capacityTokens, slots: SEQUENCES, blockBudgetBytes: BLOCKS * blockBytes(layout) },
    }),
    (open) => open.close(),
  );
  const ways = await checkWays(graph, device);
  const comparison = reference && (await checkReference(graph, device, reference, (text) => tokenizer.encode(text)));
  const rounding = roundingOf(graph);
  return {
    model: facts,
    graph: { kind, layout, dependence, vocab, contextTokens },
    device: { kind: device.kind, why },
    bytes: {
      weights,
      perToken: tokenBytes(layout),
      perBlock: blockBytes(layout),
      perSlot: contextTokens * tokenBytes(layout) + statesBytes(layout),
      perRun: runBytes(runDemand(folder, graph, PREFILL_CHUNK_TOKENS), contextTokens),
    },
    ...{ rounding, ways, reference: comparison },
    disagreements: [...wayDisagreements(ways, rounding), ...referenceDisagreements(comparison, rounding)],
  };
}

/** Tokens of a slot: enough for the comparisons. @throws Refused if the reference has a longer text than the model takes */
function capacityOf({ contextTokens, layout }: ModelGraph, reference: Reference | null): number {
  const longest = reference === null ? 0 : referenceTokens(reference);
  if (longest > contextTokens)
    throw new Refused(`the reference has a text of ${longest} tokens; the model's context is ${contextTokens}`);
  return Math.min(contextTokens, Math.max(longest, 2 * layout.blockTokens));
}

function wayDisagreements(ways: readonly WayCheck[], rounding: number): string[] {
  return ways
    .filter(({ agrees }) => !agrees)
    .map(({ way, difference }) => `${way}: log-probabilities differ by ${difference}; rounding explains ${rounding}`);
}

function referenceDisagreements(comparison: ReferenceComparison | null, rounding: number): string[] {
  if (comparison === null) return [];
  const { texts, otherTokens, answerTokens, wrongChoices, logprobs } = comparison;
  return [
    ...(otherTokens > 0 ? [`reference: ${otherTokens} of ${texts} prompts have other tokens`] : []),
    ...(wrongChoices > 0 ? [`reference: ${wrongChoices} of ${answerTokens} tokens of answers differ`] : []),
    // A NaN is a disagreement too.
    ...(logprobs <= rounding
      ? []
      : [`reference: log-probabilities differ by ${logprobs}; rounding explains ${rounding}`]),
  ];
}

function describe(report: ModelReport): string {
  const { rounding, ways, disagreements } = report;
  const differences = ways.map(({ way, difference, agrees }) => [
    way,
    difference === null ? 'not possible' : difference.toPrecision(2),
    difference === null ? '' : agrees ? 'agrees' : 'DIFFERS',
  ]);
  return [
    table(['', ''], factRows(report)).trimStart(),
    '',
    table(['computed as', 'difference', `at most ${rounding}`], differences),
    ...(disagreements.length === 0 ? [] : ['', ...disagreements.map((what) => `disagrees: ${what}`)]),
  ].join('\n');
}

function factRows({ model, graph, device, bytes, reference }: ModelReport): [string, string][] {
  const { layers, kvHeads, headDim, elementType, blockTokens, states = [] } = graph.layout;
  const kind = graph.kind === 'in-place' ? 'appends K/V in place' : 'returns K/V as outputs';
  return [
    ['model', [model.name, model.modelType, ...model.architectures].join(', ')],
    ['graph', `${kind}; vocabulary of ${graph.vocab}, context of ${graph.contextTokens} tokens`],
    ['K/V', `${elementType}, ${layers} layers, ${kvHeads} heads of ${headDim}, blocks of ${blockTokens} tokens`],
    ...(states.length === 0 ? [] : [['states', `${states.length} beside K/V`] satisfies [string, string]]),
    ['K/V depends on', dependenceNotice(graph.dependence) ?? 'the tokens before it'],
    ['rope', ropeText(model.rope)],
    ['window', model.windowTokens === null ? 'none' : `${model.windowTokens} tokens`],
    ['chat template', model.template],
    ['device', device.why],
    ['weights', formatByteSize(bytes.weights)],
    [
      'K/V bytes',
      `${bytes.perToken} per token, ${bytes.perBlock} per block, ${bytes.perSlot} per sequence of the whole context`,
    ],
    ['memory of a run', `at most ${formatByteSize(bytes.perRun)} on the CPU, at the end of such a sequence`],
    ...(reference === null ? [] : [['reference', referenceText(reference)] satisfies [string, string]]),
  ];
}

function ropeText(rope: ModelFacts['rope']): string {
  if (rope === null) return 'not in config.json';
  const { type, theta, factor } = rope;
  return [type, ...(theta === null ? [] : [`theta ${theta}`]), ...(factor === null ? [] : [`factor ${factor}`])].join(
    ', ',
  );
}

function referenceText(comparison: ReferenceComparison): string {
  const { madeWith, texts, otherTokens, answerTokens, otherChoices, logprobs } = comparison;
  const origin = madeWith === null ? '' : `${madeWith}: `;
  return `${origin}${texts - otherTokens} of ${texts} prompts and ${answerTokens - otherChoices} of ${answerTokens} tokens equal, log-probabilities within ${logprobs.toPrecision(2)}`;
}
