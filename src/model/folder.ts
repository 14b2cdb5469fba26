import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { z } from 'zod';
import { Refused } from '../errors.js';
import { type ModelConfig, parseConfig } from './config.js';
import { endTokenIds } from './end-tokens.js';
import { type SamplingDefaults, samplingDefaults } from './generation-config.js';
import { FileSource } from './onnx/byte-source.js';
import { type Graph, readGraph } from './onnx/graph.js';
import { parsePythonJson } from './python-json.js';

/** Opens and checks a model folder in the layout of the model hub. */

/** The largest JSON file of a model folder that is read. The largest tokenizers have about 35 MB. @internal exported for tests. */
export const MODEL_JSON_BYTES = 128 * 2 ** 20;

/** An opened model folder. Its weights and its tokenizer are not read yet. */
export interface ModelFolder {
  readonly dir: string;
  /** The folder's base name, which clients use as the model's name. */
  readonly name: string;
  readonly graphPath: string;
  readonly graph: Graph;
  /** Paths of the files with external weights, in the order of their names. */
  readonly externalDataFiles: readonly string[];
  readonly tokenizerPath: string;
  readonly config: ModelConfig;
  /** The contents of config.json. */
  readonly configJson: Readonly<Record<string, unknown>>;
  /** Tokens that end an answer; empty if the model names none. */
  readonly eosTokenIds: readonly number[];
  readonly defaults: SamplingDefaults;
  /** The contents of tokenizer_config.json; empty if the file is missing. */
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  /** The Jinja source of the model's chat template; null if it has none. */
  readonly chatTemplate: string | null;
}

export interface ModelFolderOptions {
  /** Selects the graph: `fp16` is `onnx/model_fp16.onnx`. Default: `onnx/model.onnx`. */
  readonly variant?: string | undefined;
}

/**
 * Opens a model folder. `config.json`, `tokenizer.json` and a graph are required; `tokenizer_config.json`, `generation_config.json` and
 * `chat_template.jinja` are optional.
 * @throws Refused naming the missing or wrong file, and the remedy
 */
export async function openModelFolder(dir: string, options: ModelFolderOptions = {}): Promise<ModelFolder> {
  const home = resolve(dir);
  await requireFolder(home);
  const configJson = await readJson(home, 'config.json', 'required');
  const generationConfig = await readJson(home, 'generation_config.json', 'optional');
  const tokenizerConfig = await readJson(home, 'tokenizer_config.json', 'optional');
  const tokenizerPath = join(home, 'tokenizer.json');
  requireReadable(tokenizerPath, await requireFile(tokenizerPath, 'fetch it from where the model comes from'));
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
    configJson,
    eosTokenIds: await endTokenIds({ generationConfig, config: configJson, tokenizerConfig, tokenizerPath }),
    defaults: samplingDefaults(generationConfig, home),
    tokenizerConfig,
    chatTemplate: await findChatTemplate(home, tokenizerConfig),
  };
}

async function requireFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch(() => null);
  if (!found?.isDirectory()) {
    throw new Refused(
      `cannot open model folder ${dir}: it does not exist; check the path, or create a model with "shoal model synth"`,
    );
  }
}

/** Returns the file's size. */
async function requireFile(path: string, advice: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile()) return found.size;
  throw new Refused(`cannot open model folder ${dirname(path)}: ${basename(path)} is missing; ${advice}`);
}

function requireReadable(path: string, byteLength: number): void {
  if (byteLength <= MODEL_JSON_BYTES) return;
  throw new Refused(
    `cannot open model folder ${dirname(path)}: ${basename(path)} has ${byteLength} bytes; at most ${MODEL_JSON_BYTES} are allowed`,
  );
}

/** Reads a JSON object; a missing optional file counts as an empty one. */
async function readJson(dir: string, name: string, need: 'required' | 'optional'): Promise<Record<string, unknown>> {
  const path = join(dir, name);
  const found = await stat(path).catch(() => null);
  if (!found) {
    if (need === 'optional') return {};
    throw new Refused(
      `cannot open model folder ${dir}: ${name} is missing; give a folder in the layout of the model hub`,
    );
  }
  requireReadable(path, found.size);
  try {
    return z.record(z.string(), z.unknown()).parse(parsePythonJson(await readFile(path, 'utf8')));
  } catch (error) {
    throw new Refused(`cannot open model folder ${dir}: ${name} is not a JSON object; fetch it again`, {
      cause: error,
    });
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
    others.length > 0 ? `the folder has ${others.join(', ')}` : 'export the model to ONNX, with past K/V as inputs';
  throw new Refused(`cannot open model folder ${dir}: onnx/${name} is missing; ${advice}`);
}

/**
 * Reads the graph of an ONNX file, without its weights.
 * @throws Refused if the file is not an ONNX model
 */
export function readGraphFile(path: string): Graph {
  const source = new FileSource(path);
  try {
    return readGraph(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Refused(`cannot open model ${path}: ${reason}; fetch or export it again`, { cause: error });
  } finally {
    source.close();
  }
}

async function externalDataFiles(graphPath: string, graph: Graph): Promise<string[]> {
  const paths = graph.externalFiles.map((file) => {
    const inside = normalize(file);
    if (isAbsolute(inside) || inside.startsWith('..')) {
      throw new Refused(
        `cannot open model ${graphPath}: its weights are in "${file}", outside of its folder; export it again`,
      );
    }
    return join(dirname(graphPath), inside);
  });
  for (const path of paths)
    await requireFile(path, `${basename(graphPath)} has its weights in this file; put both into one folder`);
  return paths;
}

/** Prefers chat_template.jinja; of several templates in tokenizer_config.json, takes the one named "default". */
async function findChatTemplate(dir: string, tokenizerConfig: Record<string, unknown>): Promise<string | null> {
  const file = await readFile(join(dir, 'chat_template.jinja'), 'utf8').catch(() => null);
  if (file !== null) return file;
  const Templates = z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish();
  const templates = Templates.safeParse(tokenizerConfig.chat_template);
  if (!templates.success) {
    throw new Refused(
      `cannot open model folder ${dir}: chat_template in tokenizer_config.json must be a string or an array of named strings; correct the file`,
    );
  }
  if (typeof templates.data === 'string') return templates.data;
  return templates.data?.find((template) => template.name === 'default')?.template ?? null;
}
