import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Refused } from '../errors.js';
import { readGenaiConfig } from './genai-config.js';
import { chooseGraph, type GraphChoice, type GraphWish } from './graph-choice.js';
import { readModelJson } from './model-json.js';

/** Finds the configuration and the graph of a model, in a folder or in the list of files of a repository. */
export interface ModelFiles {
  /** The folder of the configuration and the tokenizer, relative to the model's; '' for the model's own. */
  readonly home: string;
  /** The contents of config.json, or the same facts from genai_config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The file that `config` is from. */
  readonly configName: string;
  /** The contents of generation_config.json, or the same facts from genai_config.json; empty if there is neither. */
  readonly generation: Readonly<Record<string, unknown>>;
  readonly graph: GraphChoice;
}

const CONFIG = 'config.json';
const GENAI = 'genai_config.json';

/** The chat template for chats with tools, where transformers writes it. */
export const TOOL_TEMPLATE = 'additional_chat_templates/tool_use.jinja';

/** The small files that a model may have besides the graph. All but a configuration and tokenizer.json are optional. */
export const SMALL_FILES = [
  ...[CONFIG, GENAI, 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'],
  ...['special_tokens_map.json', 'chat_template.jinja', TOOL_TEMPLATE, 'chat_template.json'],
] as const;

/**
 * The folder of the configuration: the nearest one above a graph that was named with its folder, else the model's own.
 * @param paths all files of the model
 */
export function configHome(paths: readonly string[], wish: GraphWish): string {
  const named = wish.file?.endsWith('.onnx') ? dirname(wish.file) : '.';
  for (let home = named; home !== '.' && home !== '/'; home = dirname(home)) {
    if ([CONFIG, GENAI].some((name) => paths.includes(join(home, name)))) return home;
  }
  return '';
}

/**
 * Reads the configuration and chooses the graph.
 * @param dir the folder in which the configuration is
 * @param paths all files of the model; the graph itself need not be in the folder yet
 * @param where the folder or the repository, for messages
 * @throws Refused
 */
export async function findModelFiles(
  dir: string,
  paths: readonly string[],
  wish: GraphWish,
  where: string,
): Promise<ModelFiles> {
  const home = configHome(paths, wish);
  const folder = join(dir, home);
  const [own, genaiJson] = [await readModelJson(folder, CONFIG), await readModelJson(folder, GENAI)];
  const genai = genaiJson === null ? null : readGenaiConfig(genaiJson, join(folder, GENAI));
  const config = own ?? genai?.config;
  if (config === undefined) {
    throw new Refused(`cannot open ${where}: ${CONFIG} is missing; give a folder in the layout of the model hub`);
  }
  const named = genai !== null && wish.file === null && wish.dtype === 'auto' ? join(home, genai.graph) : null;
  const graph =
    named !== null && paths.includes(named)
      ? { path: named, why: `${GENAI} names it` }
      : chooseGraph(paths, wish, config, where);
  const generation =
    (await readModelJson(folder, 'generation_config.json')) ?? (own === null ? genai?.generation : {}) ?? {};
  return { home, config, configName: own === null ? GENAI : CONFIG, generation, graph };
}

/** The files of a model's folder in which `findModelFiles` looks: its own, those in `onnx`, and those in the folder of a named graph. */
export async function filesOfFolder(dir: string, { file }: GraphWish): Promise<string[]> {
  const folders = new Set(['', 'onnx']);
  const named = file?.endsWith('.onnx') ? dirname(file) : '.';
  for (let home = named; home !== '.' && home !== '/'; home = dirname(home)) folders.add(home);
  const found: string[] = [];
  for (const folder of folders) {
    const names = await readdir(join(dir, folder)).catch(() => []);
    found.push(...names.map((name) => join(folder, name)));
  }
  return found;
}
