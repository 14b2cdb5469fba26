import type { KvDependence } from '../core/kv-dependence.js';
import type { FloatType, KvLayout } from '../core/kv-layout.js';
import { Cancelled, Refused, Unsupported } from '../errors.js';
import { BLOCK_TOKENS } from '../limits.js';
import { type LoraInput, loraInputs } from '../model/adapter/lora-input.js';
import type { ModelFolder } from '../model/folder.js';
import { type GraphSignature, graphSignature } from '../model/graph-signature.js';
import { kvDependence } from '../model/kv-dependence.js';
import { FileSource } from '../model/onnx/byte-source.js';
import { detachedGraph } from '../model/onnx/detached-graph.js';
import { shortenedKv } from '../model/onnx/kept-past.js';
import { REGIME_TOKENS, withRegimeTokens } from '../model/onnx/length-choices.js';
import { LOGITS_TO_KEEP, withLogitsToKeep } from '../model/onnx/logits-to-keep.js';
import { readsMask } from '../model/onnx/past-readers.js';
import { withWholePast } from '../model/onnx/sliding-cache.js';
import type { WeightCache } from '../model/weight-cache.js';
import { type WeightFiles, weightFiles } from '../model/weight-files.js';
import { OrtError } from '../ort/ort-error.js';
import type { Provider } from '../ort/provider.js';
import type { OrtRuntime } from '../ort/runtime.js';
import type { Session } from '../ort/session.js';
import type { Spinning } from '../ort/spinning.js';
import { sharedModel } from './shared-weights.js';

/** A loaded model graph, and the loading of one. */

/** A prompt of several tokens, and an answer. */
const LEAST_CONTEXT_TOKENS = 4;

/** Names of a graph's inputs and outputs; null for inputs that it does not have. */
interface GraphNames {
  readonly inputIds: string;
  readonly attentionMask: string | null;
  readonly positionIds: string | null;
  /** Without this input every run computes the logits of all its positions. */
  readonly logitsToKeep: string | null;
  readonly logitsToKeepShape: readonly [] | readonly [1];
  /** The length by which the graph chooses its rotary tables. */
  readonly regimeTokens: string | null;
  readonly logits: string;
  /** K of layer 0, V of layer 0, K of layer 1, ..., then the states of layers without K/V. */
  readonly past: readonly string[];
  readonly present: readonly string[];
}

/** A loaded graph, with the facts that the engine needs to run it. */
export interface ModelGraph {
  readonly runtime: OrtRuntime;
  readonly session: Session;
  readonly layout: KvLayout;
  readonly dependence: KvDependence;
  /** `in-place`: appends to K/V that is bound as past and present alike. `hand-on`: its outputs become the next inputs. */
  readonly kind: 'in-place' | 'hand-on';
  readonly vocab: number;
  readonly contextTokens: number;
  readonly logitsType: FloatType;
  /** Whether each run computes the logits of its last position alone. */
  readonly lastLogitsOnly: boolean;
  readonly names: GraphNames;
  /** Whether the graph reads the mask for more than the lengths of a batch's rows. */
  readonly readsMask: boolean;
  /** The inputs that take adapters; empty if the graph takes none. */
  readonly loraInputs: readonly LoraInput[];
  readonly weights: Weights;
  release(): void;
}

/**
 * Where the weights of a graph are: in a file that other workers of this host map too, or in memory of this process, because nothing else was
 * asked for or possible, or because the file could not be made. `why` is for the log.
 */
type Weights =
  | { readonly kind: 'shared'; readonly path: string }
  | { readonly kind: 'own'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string };

export interface GraphOptions extends Spinning {
  /** The provider that runs the graph. Default: the CPU. */
  readonly provider?: Provider;
  /** The number of threads of one run; 0 lets ONNX Runtime choose. */
  readonly threads: number;
  /** The folder of weights shared between processes, on the CPU. Default: none. */
  readonly weightCache?: WeightCache | null;
}

/**
 * Loads a model's graph. Weights are mapped from their files, not read. A graph that computes the logits of all positions is edited in memory
 * to compute only the requested ones, if the edit is possible. A graph that chooses by a sequence's length is edited to take that length as an input.
 * Layers that expect K/V of their window alone are edited to take that of all tokens.
 * @throws Refused if the graph cannot be run as a decoder, or ONNX Runtime cannot load it; Cancelled if the wait for shared weights is ended
 * @throws OrtError if ONNX Runtime has not enough memory for it
 */
export async function loadModelGraph(
  runtime: OrtRuntime,
  folder: ModelFolder,
  options: GraphOptions,
): Promise<ModelGraph> {
  const signature = graphSignature(folder.graph, folder.config, BLOCK_TOKENS);
  requireRunnable(folder, signature);
  const dependence = kvDependence(folder);
  const limitTokens = dependence.kind === 'length' ? dependence.limitTokens : null;
  const files = await weightFiles(folder);
  const { model, keeps } = editedModel(detached(folder, files), signature, dependence);
  const { session, weights } = await openSession(runtime, folder, model, files, options).catch((error: unknown) => {
    if (!(error instanceof OrtError) || error.outOfMemory) throw error;
    throw new Refused(
      `cannot load the model ${folder.graphPath}: ONNX Runtime says: ${error.ortMessage}; fetch or export it again`,
      {
        cause: error,
      },
    );
  });
  return {
    runtime,
    session,
    layout: signature.layout,
    dependence,
    kind: signature.kind,
    vocab: vocabOf(session, folder),
    contextTokens: Math.min(folder.config.contextTokens, limitTokens ?? Number.POSITIVE_INFINITY),
    logitsType: signature.logitsElementType,
    lastLogitsOnly: signature.lastLogitsOnly,
    names: {
      inputIds: 'input_ids',
      attentionMask: signature.hasAttentionMask ? 'attention_mask' : null,
      positionIds: signature.hasPositionIds ? 'position_ids' : null,
      logitsToKeep: signature.logitsToKeep ?? (keeps ? LOGITS_TO_KEEP : null),
      logitsToKeepShape: signature.logitsToKeepShape,
      regimeTokens: dependence.kind === 'border' ? REGIME_TOKENS : null,
      logits: 'logits',
      past: [...signature.pastNames, ...signature.stateNames.map(({ input }) => input)],
      present: [...signature.presentNames, ...signature.stateNames.map(({ output }) => output)],
    },
    readsMask: readsMask(folder.graph),
    loraInputs: loraInputs(folder.graph),
    weights,
    release: () => session.release(),
  };
}

/** @throws Refused for a graph whose K/V cannot be kept or shared */
function requireRunnable(folder: ModelFolder, signature: GraphSignature): void {
  if (signature.kind === 'in-place' && !signature.hasAttentionMask) {
    throw new Refused(
      `cannot run the model ${folder.name}: its graph appends K/V in place but has no input "attention_mask"; export it with one`,
    );
  }
  if (folder.config.contextTokens < LEAST_CONTEXT_TOKENS) {
    throw new Refused(
      `cannot run the model ${folder.name}: its configuration states a context of ${folder.config.contextTokens} tokens; at least ${LEAST_CONTEXT_TOKENS} are needed; correct it`,
    );
  }
  const shortened = shortenedKv(folder.graph);
  if (shortened !== null) {
    throw new Refused(
      `cannot run the model ${folder.name}: its output "${shortened}" does not have the K/V of all tokens, as in a graph that keeps a window; use an export that returns all past K/V`,
    );
  }
}

/** Opens the model from shared weights if there is a cache of them, or with its own weights. */
async function openSession(
  runtime: OrtRuntime,
  folder: ModelFolder,
  model: Uint8Array,
  files: WeightFiles,
  { provider = { name: 'cpu' }, threads, weightCache = null, ...spinning }: GraphOptions,
): Promise<{ session: Session; weights: Weights }> {
  const options = { provider, intraOpThreads: threads, ...spinning };
  const own = { ...options, externalDataFolder: files.folder };
  const withOwn = async (kind: 'own' | 'failed', why: string) => ({
    session: await runtime.openSession(model, own),
    weights: { kind, why },
  });
  if (weightCache === null) return withOwn('own', 'weights are not shared');
  if (provider.name !== 'cpu') return withOwn('own', `the weights are in memory of the ${provider.name} device`);
  try {
    const path = await sharedModel(runtime, folder, model, own, weightCache);
    return { session: await runtime.openSession(path, options), weights: { kind: 'shared', path } };
  } catch (error) {
    if (error instanceof Cancelled) throw error;
    const why = error instanceof Error ? error.message : String(error);
    return withOwn(error instanceof Unsupported ? 'own' : 'failed', why);
  }
}

/** The model without its weights. */
function detached({ graphPath, graph }: ModelFolder, files: WeightFiles): Uint8Array {
  const source = new FileSource(graphPath);
  try {
    return detachedGraph(source, graph, files);
  } finally {
    source.close();
  }
}

/** The edited graph, and whether it can compute the logits of the last positions only. */
function editedModel(
  detached: Uint8Array,
  { logitsToKeep, lastLogitsOnly }: GraphSignature,
  { kind }: KvDependence,
): { model: Uint8Array; keeps: boolean } {
  const original = withWholePast(detached);
  const logits = logitsToKeep !== null || lastLogitsOnly ? null : withLogitsToKeep(original);
  const keeps = logitsToKeep !== null || logits?.kind === 'edited';
  const model = logits?.kind === 'edited' ? logits.model : original;
  return { model: kind === 'border' ? withRegimeTokens(model) : model, keeps };
}

/** The graph's own number if it states one: some models have more logits than tokens. */
function vocabOf(session: Session, folder: ModelFolder): number {
  const dim = session.outputs.find(({ name }) => name === 'logits')?.dims.at(-1);
  return typeof dim === 'number' ? dim : folder.config.vocabSize;
}
