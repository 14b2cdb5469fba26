import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { z } from 'zod';
import { Refused } from '../errors.js';
import { type ModelConfig, parseConfig } from './config.js';
import { FileSource } from './onnx/byte-source.js';
import { type Graph, readGraph } from './onnx/graph.js';

/** JSON files of a model folder; the largest tokenizers have some 35 MB. @internal exported for tests. */
export const MODEL_JSON_BYTES = 128 * 2 ** 20;

/** A model folder in the layout of the model hub, read but for its weights and its tokenizer. */
export interface ModelFolder {
  readonly dir: string;
  /** The folder's own name; also the model's name towards clients. */
  readonly name: string;
  readonly graphPath: string;
  readonly graph: Graph;
  /** Paths of files with weights beside the graph, in the order of their names. */
  readonly externalDataFiles: readonly string[];
  readonly tokenizerPath: string;
  readonly config: ModelConfig;
  /** Tokens that end an answer; none if the model names none. */
  readonly eosTokenIds: readonly number[];
  readonly defaults: SamplingDefaults;
  /** Contents of tokenizer_config.json; empty if there is none. */
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  /** Jinja source of the model's chat template; null if it has none. */
  readonly chatTemplate: string | null;
}

/** How the model's makers want it sampled; null where they say nothing. A model that is not to be sampled has temperature 0. */
export interface SamplingDefaults {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly minP: number | null;
  readonly repetitionPenalty: number | null;
}

export interface ModelFolderOptions {
  /** Which graph: `fp16` is `onnx/model_fp16.onnx`. Without one it is `onnx/model.onnx`. */
  readonly variant?: string | undefined;
}

const EosTokenIds = z.union([z.int().min(0), z.array(z.int().min(0))]).nullish();
const Generation = z.looseObject({
  eos_token_id: EosTokenIds,
  do_sample: z.boolean().nullish(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).nullish(),
});

/**
 * Opens a model folder: `config.json`, `tokenizer.json` and a graph must be there; `tokenizer_config.json`, `generation_config.json` and
 * `chat_template.jinja` may be.
 * @throws Refused that names the file that is missing or wrong, and what to do
 */
export async function openModelFolder(dir: string, options: ModelFolderOptions = {}): Promise<ModelFolder> {
  const home = resolve(dir);
  await requireFolder(home);
  const configJson = await readJson(home, 'config.json', 'required');
  const generation = parseGeneration(await readJson(home, 'generation_config.json', 'optional'), home);
  const tokenizerConfig = (await readJson(home, 'tokenizer_config.json', 'optional')) as Record<string, unknown>;
  const tokenizerPath = join(home, 'tokenizer.json');
  requireReadable(
    tokenizerPath,
    await requireFile(tokenizerPath, 'It holds the vocabulary; take it from where the model came from.'),
  );
  const graphPath = await findGraph(home, options.variant);
  const graph = readGraphFile(graphPath);
  return {
    dir: home,
    name: basename(home),
    graphPath,
    graph,
    externalDataFiles: await externalDataFiles(graphPath, graph),
    tokenizerPath,
    config: parseConfig(configJson, join(home, 'config.json')),
    eosTokenIds: eosTokenIds(generation.eos_token_id, configJson),
    defaults: samplingDefaults(generation),
    tokenizerConfig,
    chatTemplate: await findChatTemplate(home, tokenizerConfig),
  };
}

async function requireFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch(() => null);
  if (!found?.isDirectory()) {
    throw new Refused(
      `opening model folder ${dir}: there is no such folder. Check the path, or make one with "shoal model synth".`,
    );
  }
}

/** Gives the file's size. */
async function requireFile(path: string, advice: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile()) return found.size;
  throw new Refused(`opening model folder ${dirname(path)}: ${basename(path)} is missing. ${advice}`);
}

function requireReadable(path: string, byteLength: number): void {
  if (byteLength <= MODEL_JSON_BYTES) return;
  const sizes = `has ${byteLength} bytes, more than ${MODEL_JSON_BYTES}`;
  throw new Refused(
    `opening model folder ${dirname(path)}: ${basename(path)} ${sizes}. It can't be what it should be.`,
  );
}

/** A JSON object; of an optional file that is not there, an empty one. */
async function readJson(dir: string, name: string, need: 'required' | 'optional'): Promise<Record<string, unknown>> {
  const path = join(dir, name);
  const found = await stat(path).catch(() => null);
  if (!found) {
    if (need === 'optional') return {};
    throw new Refused(
      `opening model folder ${dir}: ${name} is missing. Give a folder as the model hub has them, not one of its parts.`,
    );
  }
  requireReadable(path, found.size);
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new Refused(`opening model folder ${dir}: ${name} is no JSON object. Fetch it again.`, { cause: error });
  }
}

async function findGraph(dir: string, variant: string | undefined): Promise<string> {
  const name = variant ? `model_${variant}.onnx` : 'model.onnx';
  const places = [join(dir, 'onnx', name), join(dir, name)];
  for (const path of places) {
    if ((await stat(path).catch(() => null))?.isFile()) return path;
  }
  const others = (await readdir(join(dir, 'onnx')).catch(() => [])).filter((file) => file.endsWith('.onnx')).sort();
  const advice =
    others.length > 0 ? `There are: ${others.join(', ')}.` : 'Export the model to ONNX, with past K/V as inputs.';
  throw new Refused(`opening model folder ${dir}: onnx/${name} is missing. ${advice}`);
}

function readGraphFile(path: string): Graph {
  const source = new FileSource(path);
  try {
    return readGraph(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Refused(`opening model ${path}: ${reason}. Fetch or export it again.`, { cause: error });
  } finally {
    source.close();
  }
}

async function externalDataFiles(graphPath: string, graph: Graph): Promise<string[]> {
  const paths = graph.externalFiles.map((file) => {
    const inside = normalize(file);
    if (isAbsolute(inside) || inside.startsWith('..')) {
      throw new Refused(
        `opening model ${graphPath}: its weights are said to be in "${file}", outside of its folder. Export it again.`,
      );
    }
    return join(dirname(graphPath), inside);
  });
  for (const path of paths) await requireFile(path, `${basename(graphPath)} has its weights there; put it beside it.`);
  return paths;
}

function parseGeneration(json: Record<string, unknown>, dir: string): z.infer<typeof Generation> {
  const parsed = Generation.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Refused(
    `opening model folder ${dir}: generation_config.json: ${issue?.path.join('.')}: ${issue?.message}. Correct it.`,
  );
}

function eosTokenIds(ofGeneration: z.infer<typeof EosTokenIds>, config: Record<string, unknown>): number[] {
  const ids = ofGeneration ?? EosTokenIds.catch(null).parse(config.eos_token_id) ?? [];
  return [...new Set(typeof ids === 'number' ? [ids] : ids)];
}

function samplingDefaults(generation: z.infer<typeof Generation>): SamplingDefaults {
  const repetitionPenalty = generation.repetition_penalty ?? null;
  if (generation.do_sample === true) {
    const { temperature = null, top_p: topP = null, top_k: topK = null, min_p: minP = null } = generation;
    return { temperature, topP, topK, minP, repetitionPenalty };
  }
  const temperature = generation.do_sample === false ? 0 : null;
  return { temperature, topP: null, topK: null, minP: null, repetitionPenalty };
}

/** A template in a file of its own wins; of several in tokenizer_config.json, the one called "default". */
async function findChatTemplate(dir: string, tokenizerConfig: Record<string, unknown>): Promise<string | null> {
  const file = await readFile(join(dir, 'chat_template.jinja'), 'utf8').catch(() => null);
  if (file !== null) return file;
  const Templates = z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish();
  const templates = Templates.safeParse(tokenizerConfig.chat_template);
  if (!templates.success) {
    throw new Refused(
      `opening model folder ${dir}: chat_template in tokenizer_config.json is neither text nor a list of named texts. Correct it.`,
    );
  }
  if (typeof templates.data === 'string') return templates.data;
  return templates.data?.find((template) => template.name === 'default')?.template ?? null;
}
