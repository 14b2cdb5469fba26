import { formatByteSize } from '../src/byte-size.js';
import { Refused } from '../src/errors.js';
import { BlobLock } from '../src/hub/blob-lock.js';
import { usingCache } from '../src/hub/cache-folder.js';
import { HubCache } from '../src/hub/hub-cache.js';
import type { HubId } from '../src/hub/hub-id.js';
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
  const text = named.includes('@')
    ? await removeRevision(cache, id)
    : `removed ${id.repository}, ${formatByteSize(await removeAll(cache))}`;
  context.io.out(`${text}\n`);
  return 0;
}

/** Removes the files of a revision, unless another one is the same commit. A commit is removed with its revisions. Resolves with what was done, in words. */
async function removeRevision(cache: HubCache, id: HubId): Promise<string> {
  const { repository, revision } = id;
  const commit = await cache.commitOf(revision);
  if (commit === null)
    throw new Refused(
      `cannot remove ${repository}@${revision}: there is no such revision in ${cache.cacheDir}; see shoal model list`,
    );
  const same = (await cache.revisions()).filter((one) => one.commit === commit && one.revision !== revision);
  const others = same.map((one) => one.revision).join(', ');
  if (others === '' || revision === commit) {
    const bytes = formatByteSize(await cache.removeCommit(commit));
    return `removed ${repository}@${revision}${others === '' ? '' : `, which was also ${others}`}, ${bytes}`;
  }
  await cache.removeRevision(revision);
  return `removed ${repository}@${revision}; its files stay, since ${others} is the same commit; to remove them: shoal model rm ${repository}@${commit}`;
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
