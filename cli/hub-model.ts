import type { Clock } from '../src/clock.js';
import { type ConfigSource, readValues } from '../src/config/config.js';
import { bundledModel, modelFolder, namedGraph, namedHubId } from '../src/config/model-folder.js';
import type { Command } from '../src/config/option.js';
import { packageVersion } from '../src/config/package-root.js';
import type { EnvironmentVariables } from '../src/config/read-options.js';
import { HubApi } from '../src/hub/hub-api.js';
import type { HubId } from '../src/hub/hub-id.js';
import { hubSettings } from '../src/hub/hub-settings.js';
import { type PulledModel, pull } from '../src/hub/pull.js';
import type { PullPorts } from '../src/hub/pull-ports.js';
import type { GraphWish } from '../src/model/graph-choice.js';
import { filesOfFolder, findModelFiles } from '../src/model/model-files.js';

/** Turns the model that a command names, which may be an id on the hub, into a folder and a graph in it. */

type ReadConfig<T> = (source: ConfigSource) => T;

/** A configuration whose model is there, and why its graph was chosen. */
export interface SettledConfig<T> {
  readonly config: T;
  readonly why: string;
}

/**
 * The configuration as far as it can be checked before a model of the hub is downloaded: with the bundled model in its place.
 * @throws WrongUsage
 */
export function checkedConfig<T>(command: Command, source: ConfigSource, read: ReadConfig<T>): T {
  if (namedHubId(readValues(command, source).model) === null) return read(source);
  hubSettings(source.environment);
  return read(withFlags(source, { model: bundledModel() }));
}

/**
 * The configuration with a model of the hub downloaded, and one graph chosen for the device.
 * @throws WrongUsage, Refused, Unavailable, Corrupt, Cancelled
 */
export async function settledConfig<T>(
  command: Command,
  source: ConfigSource,
  read: ReadConfig<T>,
  device: GraphWish['device'],
  ports: PullPorts,
): Promise<SettledConfig<T>> {
  const values = readValues(command, source);
  const wish = { ...namedGraph(values), device };
  const id = namedHubId(values.model);
  const { dir, graph, why } =
    id === null
      ? await graphOfFolder(modelFolder(values.model, values.modelFile), wish)
      : await pullModel(id, wish, source.environment, ports);
  const flags = { model: dir, modelFile: graph, dtype: 'auto' };
  return { config: read(withFlags(source, flags)), why };
}

/** `pull` by the environment's variables. */
export function pullModel(
  id: HubId,
  wish: GraphWish,
  environment: EnvironmentVariables,
  ports: PullPorts,
): Promise<PulledModel> {
  const settings = hubSettings(environment);
  return pull(id, wish, settings, hubApi(environment, ports.clock), ports);
}

export function hubApi(environment: EnvironmentVariables, clock: Clock): HubApi {
  return new HubApi(hubSettings(environment), clock, () => Date.now(), `shoal/${packageVersion()}`);
}

async function graphOfFolder(dir: string, wish: GraphWish): Promise<{ dir: string; graph: string; why: string }> {
  const files = await findModelFiles(dir, await filesOfFolder(dir, wish), wish, `model folder ${dir}`);
  return { dir, graph: files.graph.path, why: files.graph.why };
}

function withFlags(source: ConfigSource, flags: Record<string, string>): ConfigSource {
  return { ...source, flags: { ...source.flags, ...flags } };
}
