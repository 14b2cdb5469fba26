import { dirname, join } from 'node:path/posix';
import { Refused, Unavailable } from '../errors.js';
import { readGraphFile } from '../model/folder.js';
import type { GraphWish } from '../model/graph-choice.js';
import { configHome, findModelFiles, SMALL_FILES } from '../model/model-files.js';
import type { HubFile } from './answers.js';
import { isInside } from './cache-layout.js';
import { download } from './download.js';
import type { HubApi } from './hub-api.js';
import { HubCache } from './hub-cache.js';
import { type HubId, hubIdText } from './hub-id.js';
import type { HubSettings } from './hub-settings.js';
import type { PullPorts } from './pull-ports.js';
import { ATTEMPTS, HubUnavailable } from './retry.js';

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
 * not loaded again. If the hub cannot be reached, or must not be asked, a model that was downloaded before is taken.
 * @throws Refused, Unavailable or Corrupt with the remedy, Cancelled
 */
export async function pull(
  id: HubId,
  wish: GraphWish,
  settings: HubSettings,
  api: HubApi,
  ports: PullPorts,
): Promise<PulledModel> {
  const cache = new HubCache(settings.cacheDir, id.repository);
  if (settings.offline) {
    ports.onEvent({ type: 'from-cache', why: 'HF_HUB_OFFLINE is set' });
    return fromCache(cache, id, wish, 'the hub is not asked, because HF_HUB_OFFLINE is set; unset it');
  }
  const commit = await currentCommit(cache, id, api, ports);
  if (commit !== null) return fromHub(cache, id, commit, wish, api, ports);
  return fromCache(cache, id, wish, 'the hub cannot be reached; connect this machine');
}

/** The commit of the id's revision. Null if the hub cannot be reached and a commit of it is in the cache. */
async function currentCommit(cache: HubCache, id: HubId, api: HubApi, ports: PullPorts): Promise<string | null> {
  const isCached = (await cache.commitOf(id.revision)) !== null;
  try {
    return await api.commit(id, ports, isCached ? 1 : ATTEMPTS);
  } catch (error) {
    if (!(error instanceof HubUnavailable) || !isCached) throw error;
    ports.onEvent({ type: 'from-cache', why: error.message });
    return null;
  }
}

async function fromHub(
  cache: HubCache,
  id: HubId,
  commit: string,
  wish: GraphWish,
  api: HubApi,
  ports: PullPorts,
): Promise<PulledModel> {
  const files = new Map((await api.files(id, commit, ports)).map((file) => [file.path, file]));
  const paths = [...files.keys()];
  const load = (file: HubFile) => download(api, cache, id, commit, file, ports);
  const home = configHome(paths, wish);
  for (const name of SMALL_FILES) {
    const file = files.get(join(home, name));
    if (file !== undefined) await load(file);
  }
  const dir = cache.snapshot(commit);
  const { graph } = await findModelFiles(dir, paths, wish, hubIdText(id));
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
