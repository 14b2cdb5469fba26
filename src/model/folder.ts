import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { z } from 'zod';
import { Refused } from '../errors.js';
import { type ModelConfig, parseConfig } from './config.js';
import { endTokenIds } from './end-tokens.js';
import { type SamplingDefaults, samplingDefaults } from './generation-config.js';
import type { GraphWish } from './graph-choice.js';
import { filesOfFolder, findModelFiles, TOOL_TEMPLATE } from './model-files.js';
import { readModelFile, readModelJson, requireReadable } from './model-json.js';
import { modelNameOf } from './model-name.js';
import { FileSource } from './onnx/byte-source.js';
import { type Graph, readGraph } from './onnx/graph.js';
import { tableLimits } from './onnx/lookup-tables.js';

/** Opens and checks a model folder in the layout of the model hub. */

/** An opened model folder. Its weights and its tokenizer are not read yet. */
export interface ModelFolder {
  readonly dir: string;
  /** The model's name in the API: the folder's base name, or the repository's name for a snapshot in the hub's cache. */
  readonly name: string;
  readonly graphPath: string;
  /** Why this graph was chosen, for logs. */
  readonly graphWhy: string;
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
  /** The source of the template for chats with tools; null if the model has none of its own for them. */
  readonly toolTemplate: string | null;
}

/** Which of the folder's graphs to take. Default: the best one for the CPU. */
export type ModelFolderOptions = Partial<GraphWish>;

/**
 * Opens a model folder. `config.json` or `genai_config.json`, `tokenizer.json` and a graph are required; `tokenizer_config.json`,
 * `generation_config.json`, `chat_template.jinja` and `additional_chat_templates/tool_use.jinja` are optional.
 * @throws Refused naming the missing or wrong file, and the remedy
 */
export async function openModelFolder(dir: string, options: ModelFolderOptions = {}): Promise<ModelFolder> {
  const root = resolve(dir);
  await requireFolder(root);
  const wish = { dtype: 'auto', file: null, device: 'cpu', ...options } as const;
  const files = await findModelFiles(root, await filesOfFolder(root, wish), wish, `model folder ${root}`);
  const home = join(root, files.home);
  const { config: configJson, generation: generationConfig } = files;
  const tokenizerConfig = (await readModelJson(home, 'tokenizer_config.json')) ?? {};
  const tokenizerPath = join(home, 'tokenizer.json');
  requireReadable(tokenizerPath, await requireFile(tokenizerPath, 'fetch it from where the model comes from'));
  const graphPath = join(root, files.graph.path);
  await requireFile(graphPath, 'fetch or export it again');
  const graph = readGraphFile(graphPath);
  return {
    dir: home,
    name: modelNameOf(root),
    graphPath,
    graphWhy: files.graph.why,
    graph,
    externalDataFiles: await externalDataFiles(graphPath, graph),
    tokenizerPath,
    config: withinTables(parseConfig(configJson, join(home, files.configName), logitCount(graph)), graph),
    configJson,
    eosTokenIds: await endTokenIds({ generationConfig, config: configJson, tokenizerConfig, tokenizerPath }),
    defaults: samplingDefaults(generationConfig, home),
    tokenizerConfig,
    ...(await findTemplates(home, tokenizerConfig)),
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
  const what = found === null ? 'is missing, or a link to nothing' : 'is not a regular file';
  throw new Refused(`cannot open model folder ${dirname(path)}: ${basename(path)} ${what}; ${advice}`);
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

/** The configuration with no more tokens and positions than the graph has tables for. */
function withinTables(config: ModelConfig, graph: Graph): ModelConfig {
  const { tokens, positions } = tableLimits(graph);
  return {
    ...config,
    vocabSize: Math.min(config.vocabSize, tokens ?? config.vocabSize),
    contextTokens: Math.min(config.contextTokens, positions ?? config.contextTokens),
  };
}

/** The number of logits of a token that the graph states; null if it states none. */
function logitCount({ outputs }: Graph): number | null {
  const dim = outputs.find(({ name }) => name === 'logits')?.dims.at(-1);
  return typeof dim === 'number' ? dim : null;
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

/**
 * The templates that transformers takes: chat_template.jinja before those of tokenizer_config.json; of several, the one named "default", and for chats
 * with tools the one named "tool_use".
 */
async function findTemplates(
  dir: string,
  tokenizerConfig: Record<string, unknown>,
): Promise<Pick<ModelFolder, 'chatTemplate' | 'toolTemplate'>> {
  const file = await readModelFile(dir, 'chat_template.jinja');
  const inConfig = file === null ? templatesOf(dir, tokenizerConfig) : new Map<string, string>();
  const toolTemplate = (await readModelFile(dir, TOOL_TEMPLATE)) ?? inConfig.get('tool_use') ?? null;
  return { chatTemplate: file ?? inConfig.get('default') ?? toolTemplate, toolTemplate };
}

/** The templates in tokenizer_config.json, by name. */
function templatesOf(dir: string, tokenizerConfig: Record<string, unknown>): ReadonlyMap<string, string> {
  const Templates = z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish();
  const templates = Templates.safeParse(tokenizerConfig.chat_template);
  if (!templates.success) {
    throw new Refused(
      `cannot open model folder ${dir}: chat_template in tokenizer_config.json must be a string or an array of named strings; correct the file`,
    );
  }
  if (typeof templates.data === 'string') return new Map([['default', templates.data]]);
  return new Map(templates.data?.map(({ name, template }) => [name, template]));
}
