import { formatByteSize } from '../src/byte-size.js';
import { Refused } from '../src/errors.js';
import { BlobLock } from '../src/hub/blob-lock.js';
import { usingCache } from '../src/hub/cache-folder.js';
import { HubCache } from '../src/hub/hub-cache.js';
import { type HubId, hubIdText } from '../src/hub/hub-id.js';
import { hubSettings } from '../src/hub/hub-settings.js';
import type { CommandContext } from './context.js';
import { requiredHubId } from './model-pull.js';

/** `shoal model rm`: removes a model from the hub's cache. A worker that has loaded it keeps its own copy. */
export async function modelRemove(context: CommandContext): Promise<number> {
  const [named] = context.args;
  const id = requiredHubId(named);
  const { cacheDir } = hubSettings(context.environment);
  return await usingCache(cacheDir, () => removed(context, named!, id, new HubCache(cacheDir, id.repository)));
}

async function removed(context: CommandContext, named: string, id: HubId, cache: HubCache): Promise<number> {
  const { cacheDir } = cache;
  if (!(await HubCache.repositories(cacheDir)).includes(id.repository)) {
    throw new Refused(`cannot remove ${id.repository}: it is not in ${cacheDir}; see shoal model list`);
  }
  if (await isDownloading(cache)) {
    throw new Refused(`cannot remove ${id.repository}: a process downloads it; try again when it is done`);
  }
  const freedBytes = named.includes('@') ? await removeRevision(cache, id.revision) : await removeAll(cache);
  context.io.out(`removed ${named.includes('@') ? hubIdText(id) : id.repository}, ${formatByteSize(freedBytes)}\n`);
  return 0;
}

async function removeRevision(cache: HubCache, revision: string): Promise<number> {
  const commit = await cache.commitOf(revision);
  if (commit !== null) return cache.removeCommit(commit);
  throw new Refused(
    `cannot remove ${cache.repository}@${revision}: there is no such revision in ${cache.cacheDir}; see shoal model list`,
  );
}

async function removeAll(cache: HubCache): Promise<number> {
  const bytes = await cache.byteLength();
  await cache.remove();
  return bytes;
}

async function isDownloading(cache: HubCache): Promise<boolean> {
  for (const path of await cache.lockFiles()) {
    const lock = await BlobLock.tryAcquire(path);
    if (lock === null) return true;
    await lock.release();
  }
  return false;
}
