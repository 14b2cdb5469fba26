import { dirname, join } from 'node:path/posix';
import { Cancelled, Refused, ShoalError, Unavailable } from '../errors.js';
import { readGraphFile } from '../model/folder.js';
import type { GraphWish } from '../model/graph-choice.js';
import { configHome, findModelFiles, SMALL_FILES } from '../model/model-files.js';
import type { HubFile } from './answers.js';
import { usingCache } from './cache-folder.js';
import { isInside } from './cache-layout.js';
import { download, type HubBytes } from './download.js';
import type { MembersModel } from './fleet/fleet-models.js';
import type { HubApi } from './hub-api.js';
import { HubCache } from './hub-cache.js';
import { type HubId, hubIdText } from './hub-id.js';
import { NotShown } from './hub-refusal.js';
import type { HubSettings } from './hub-settings.js';
import type { PullPorts } from './pull-ports.js';
import { BRIEF, HubUnavailable, ONCE, PATIENT } from './retry.js';

/** A model of the hub whose files are on this machine. */
export interface PulledModel {
  readonly commit: string;
  /** The snapshot's folder in the cache. */
  readonly dir: string;
  /** The graph, relative to the folder. */
  readonly graph: string;
  /** Why this graph was chosen. */
  readonly why: string;
}

/**
 * Brings a model into the hub's cache: its configuration, its tokenizer, one graph and the files with the graph's weights. Files that are there are
 * not loaded again. A model that is whole in the cache is taken if the hub must not be asked, cannot be reached, fails, or does not show the model any more,
 * as huggingface_hub does.
 * @param inFleet the model as members of the fleet have it, which are asked before the hub; null for none
 * @throws Refused, Unavailable or Corrupt with the remedy, Cancelled
 */
export async function pull(
  id: HubId,
  wish: GraphWish,
  settings: HubSettings,
  api: HubApi,
  ports: PullPorts,
  inFleet: MembersModel | null = null,
): Promise<PulledModel> {
  return await usingCache(settings.cacheDir, () => pulled(id, wish, settings, api, ports, inFleet));
}

async function pulled(
  id: HubId,
  wish: GraphWish,
  settings: HubSettings,
  api: HubApi,
  ports: PullPorts,
  inFleet: MembersModel | null,
): Promise<PulledModel> {
  const cache = new HubCache(settings.cacheDir, id.repository);
  const given = inFleet && (await fromFleet(cache, id, inFleet, wish, ports));
  if (given !== null) return given;
  if (settings.offline) {
    ports.onEvent({ type: 'from-cache', why: 'HF_HUB_OFFLINE is set' });
    return fromCache(cache, id, wish, 'the hub is not asked, because HF_HUB_OFFLINE is set; unset it');
  }
  const cached = await wholeInCache(cache, id, wish);
  try {
    const commit = await api.commit(id, ports, cached === null ? PATIENT : ONCE);
    const files = await api.files(id, commit, ports, cached === null ? PATIENT : ONCE);
    return await loaded(cache, id, { commit, files, bytes: api }, wish, ports, cached === null ? PATIENT : BRIEF);
  } catch (error) {
    if (cached === null || !(error instanceof HubUnavailable || error instanceof NotShown)) throw error;
    ports.onEvent({ type: 'from-cache', why: error.message });
    return cached;
  }
}

/** The model as the cache has it; null unless all of it is there. */
async function wholeInCache(cache: HubCache, id: HubId, wish: GraphWish): Promise<PulledModel | null> {
  try {
    return await fromCache(cache, id, wish, '');
  } catch (error) {
    if (error instanceof ShoalError) return null;
    throw error;
  }
}

/** The model from members. Null if they cannot give it: the hub is there too. */
async function fromFleet(
  cache: HubCache,
  id: HubId,
  model: MembersModel,
  wish: GraphWish,
  ports: PullPorts,
): Promise<PulledModel | null> {
  ports.onEvent({ type: 'from-fleet', from: model.from });
  try {
    return await loaded(cache, id, { commit: model.commit, files: model.files, bytes: model }, wish, ports);
  } catch (error) {
    if (error instanceof Cancelled || !(error instanceof ShoalError)) throw error;
    ports.onEvent({ type: 'without-fleet', why: error.message });
    return null;
  }
}

/** Where a model comes from: its commit, all files of it, and their bytes. */
interface ModelSource {
  readonly commit: string;
  readonly files: readonly HubFile[];
  readonly bytes: HubBytes;
}

async function loaded(
  cache: HubCache,
  id: HubId,
  source: ModelSource,
  wish: GraphWish,
  ports: PullPorts,
  patience = PATIENT,
): Promise<PulledModel> {
  const { commit, bytes } = source;
  const files = new Map(source.files.map((file) => [file.path, file]));
  const paths = [...files.keys()];
  const load = (file: HubFile) => download(bytes, cache, id, commit, file, ports, patience);
  const home = configHome(paths, wish);
  for (const name of SMALL_FILES) {
    const file = files.get(join(home, name));
    if (file !== undefined) await load(file);
  }
  const dir = cache.snapshot(commit);
  const { graph } = await findModelFiles(dir, paths, wish, hubIdText(id));
  const tokenizer = join(home, 'tokenizer.json');
  if (!files.has(tokenizer))
    throw missing(id, tokenizer, 'the repository has no tokenizer that shoal reads; use another export');
  await load(files.get(graph.path)!);
  for (const path of dataFiles(dir, graph.path)) {
    const file = files.get(path);
    if (file === undefined) throw missing(id, path, `${graph.path} has its weights in this file; tell its authors`);
    await load(file);
  }
  await cache.setRevision(id.revision, commit);
  return { commit, dir, graph: graph.path, why: graph.why };
}

/** @param obstacle why the rest is not downloaded, and what to do */
async function fromCache(cache: HubCache, id: HubId, wish: GraphWish, obstacle: string): Promise<PulledModel> {
  const advice = `${obstacle}, and run: shoal model pull ${hubIdText(id)}`;
  const commit = await cache.commitOf(id.revision);
  if (commit === null)
    throw new Unavailable(`cannot load ${hubIdText(id)}: it is not in ${cache.cacheDir}, and ${advice}`);
  const paths = (await cache.files(commit)).map(({ path }) => path);
  const dir = cache.snapshot(commit);
  const where = `${hubIdText(id)} in ${cache.cacheDir} (${obstacle})`;
  const { graph, home } = await findModelFiles(dir, paths, wish, where);
  const lacking = [join(home, 'tokenizer.json'), ...dataFiles(dir, graph.path)].find((path) => !paths.includes(path));
  if (lacking !== undefined) throw missing(id, lacking, advice);
  return { commit, dir, graph: graph.path, why: graph.why };
}

/** The files with a graph's weights, relative to the model's folder. */
function dataFiles(dir: string, graph: string): string[] {
  return readGraphFile(join(dir, graph)).externalFiles.map((file) => {
    const path = join(dirname(graph), file);
    if (isInside(path) && !file.startsWith('/')) return path;
    throw new Refused(`cannot open ${graph}: its weights are in "${file}", outside of its folder; export it again`);
  });
}

function missing(id: HubId, path: string, advice: string): Unavailable {
  return new Unavailable(`cannot load ${hubIdText(id)}: ${path} is missing; ${advice}`);
}
