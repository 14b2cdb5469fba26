import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type HubId, parseHubId } from '../hub/hub-id.js';
import type { GraphWish } from '../model/graph-choice.js';
import type { Values } from './options.js';
import { packageRoot } from './package-root.js';
import { WrongUsage } from './wrong-usage.js';

/** The bundled model. */
export function bundledModel(): string {
  return join(packageRoot(), 'models', 'recall');
}

/** The id on the hub that `--model` names; null for a folder. An existing folder takes precedence over an id of the same name. */
export function namedHubId(named: string | null): HubId | null {
  return named === null || existsSync(named) ? null : parseHubId(named);
}

/** Which graph is asked for, apart from the device. */
export type NamedGraph = Omit<GraphWish, 'device'>;

/** @throws WrongUsage if a file and a type are named, which may contradict each other */
export function namedGraph({ dtype, modelFile: file }: Pick<Values, 'dtype' | 'modelFile'>): NamedGraph {
  if (dtype === 'auto' || !file?.endsWith('.onnx')) return { dtype, file };
  throw new WrongUsage(
    `--dtype (SHOAL_DTYPE): must be auto if --model-file (SHOAL_MODEL_FILE) names a file, got ${dtype} and ${JSON.stringify(file)}`,
  );
}

/**
 * The absolute path of the model's folder. The default is the bundled model.
 * @param file the graph, if its file is named: a configuration may be in the folder of the file
 * @throws WrongUsage if the folder has no configuration
 */
export function modelFolder(named: string | null, file: string | null = null): string {
  const folder = named === null ? bundledModel() : resolve(named);
  const homes = file?.endsWith('.onnx') ? [folder, dirname(join(folder, file))] : [folder];
  const configs = homes.flatMap((home) => ['config.json', 'genai_config.json'].map((name) => join(home, name)));
  if (configs.some((path) => existsSync(path))) return folder;
  throw new WrongUsage(
    `--model (SHOAL_MODEL): must be a model folder with a config.json, got ${JSON.stringify(folder)}; ` +
      'for a model of the hub give its id, org/name; to write one: shoal model synth --preset tiny --out DIR',
  );
}
