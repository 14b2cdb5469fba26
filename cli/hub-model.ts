import type { Clock } from '../src/clock.js';
import { type ConfigSource, readValues } from '../src/config/config.js';
import { bundledModel, modelFolder, namedGraph, namedHubId } from '../src/config/model-folder.js';
import type { Command } from '../src/config/option.js';
import type { Values } from '../src/config/options.js';
import { packageVersion } from '../src/config/package-root.js';
import type { EnvironmentVariables } from '../src/config/read-options.js';
import type { MembersModel } from '../src/hub/fleet/fleet-models.js';
import { HubApi } from '../src/hub/hub-api.js';
import type { HubId } from '../src/hub/hub-id.js';
import { hubSettings } from '../src/hub/hub-settings.js';
import { type PulledModel, pull } from '../src/hub/pull.js';
import type { PullPorts } from '../src/hub/pull-ports.js';
import type { GraphWish } from '../src/model/graph-choice.js';
import { filesOfFolder, findModelFiles } from '../src/model/model-files.js';

/** Turns the model that a command names, which may be an id on the hub, into a folder and a graph in it. */

type ReadConfig<T> = (source: ConfigSource) => T;

/** A configuration with its model present, and the reason for the choice of its graph. */
export interface SettledConfig<T> {
  readonly config: T;
  readonly why: string;
}

/**
 * The configuration, checked before a model of the hub is downloaded: the bundled model takes its place.
 * @throws WrongUsage
 */
export function checkedConfig<T>(command: Command, source: ConfigSource, read: ReadConfig<T>): T {
  if (namedHubId(readValues(command, source).model) === null) return read(source);
  hubSettings(source.environment);
  return read(withFlags(source, { model: bundledModel() }));
}

/**
 * The configuration with a model of the hub downloaded, and one graph chosen for the device.
 * @param inFleet the model as members of the fleet have it; null for none
 * @throws WrongUsage, Refused, Unavailable, Corrupt, Cancelled
 */
export async function settledConfig<T>(
  command: Command,
  source: ConfigSource,
  read: ReadConfig<T>,
  device: GraphWish['device'],
  ports: PullPorts,
  inFleet: MembersModel | null = null,
): Promise<SettledConfig<T>> {
  const values = readValues(command, source);
  const { dir, graph, why } = await placedModel(values.model, values, device, source.environment, ports, inFleet);
  const flags = { model: dir, modelFile: graph, dtype: 'auto' };
  return { config: read(withFlags(source, flags)), why };
}

/**
 * The folder and the graph of a model, named by its folder or by its id on the hub, from where it is downloaded.
 * @throws WrongUsage, Refused, Unavailable, Corrupt, Cancelled
 */
export function placedModel(
  named: string | null,
  values: Pick<Values, 'dtype' | 'modelFile'>,
  device: GraphWish['device'],
  environment: EnvironmentVariables,
  ports: PullPorts,
  inFleet: MembersModel | null = null,
): Promise<Pick<PulledModel, 'dir' | 'graph' | 'why'>> {
  const wish = { ...namedGraph(values), device };
  const id = namedHubId(named);
  if (id !== null) return pullModel(id, wish, environment, ports, inFleet);
  return graphOfFolder(modelFolder(named, values.modelFile), wish);
}

/** `pull` by the environment's variables. */
export function pullModel(
  id: HubId,
  wish: GraphWish,
  environment: EnvironmentVariables,
  ports: PullPorts,
  inFleet: MembersModel | null = null,
): Promise<PulledModel> {
  const settings = hubSettings(environment);
  return pull(id, wish, settings, hubApi(environment, ports.clock), ports, inFleet);
}

export function hubApi(environment: EnvironmentVariables, clock: Clock): HubApi {
  return new HubApi(hubSettings(environment), clock, () => Date.now(), `shoal/${packageVersion()}`);
}

async function graphOfFolder(dir: string, wish: GraphWish): Promise<Pick<PulledModel, 'dir' | 'graph' | 'why'>> {
  const files = await findModelFiles(dir, await filesOfFolder(dir, wish), wish, `model folder ${dir}`);
  return { dir, graph: files.graph.path, why: files.graph.why };
}

function withFlags(source: ConfigSource, flags: Record<string, string>): ConfigSource {
  return { ...source, flags: { ...source.flags, ...flags } };
}
