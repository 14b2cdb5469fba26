import { realpath, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { Corrupt } from '../../errors.js';
import type { ModelFolder } from '../../model/folder.js';
import { SMALL_FILES } from '../../model/model-files.js';
import type { HubFile } from '../answers.js';
import { blobNameAt, isBlobName, isCommit, isInside, snapshotOf } from '../cache-layout.js';
import { HubCache } from '../hub-cache.js';

/** The files of a member's model, as members tell each other. */

/** The space of these files among objects, and the key of their list. Each file has its digest as its key. */
export const MODEL_SPACE = 'model';
export const LIST_KEY = 'files';
/** Limits on a list. */
export const LIST_BYTES = 2 ** 20;
const FILES = 1_000;
const REVISIONS = 100;

/** A model of the hub that a member has in its cache. */
export interface SharedModel {
  /** `org/name` */
  readonly repository: string;
  readonly commit: string;
  /** The branches and tags that were this commit when the member downloaded it. */
  readonly revisions: readonly string[];
  readonly files: readonly HubFile[];
}

/** A shared model in a member's own cache. */
export interface OwnModel {
  readonly list: SharedModel;
  /** The path of a file of the list; null if no file has this digest. */
  pathOf(digest: string): string | null;
}

const List: z.ZodType<SharedModel> = z.strictObject({
  repository: z.string().max(256),
  commit: z.string().refine(isCommit),
  revisions: z.array(z.string().max(256)).max(REVISIONS),
  files: z
    .array(
      z.strictObject({
        path: z.string().refine(isInside),
        byteLength: z.int().min(0),
        digest: z.string().refine(isBlobName),
      }),
    )
    .max(FILES),
});

/** Reads the list of a member. @throws Corrupt also for a path that leaves its folder */
export function readSharedModel(bytes: Uint8Array, from: string): SharedModel {
  try {
    return List.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new Corrupt(`cannot read the list of model files of ${from}`, { cause });
  }
}

/**
 * The files of an opened model that others may have: its configuration, its tokenizer, its graph and its weights. Null for a model that is not in
 * the hub's cache, and for one some of whose files are not links to blobs, so that their digests are not known.
 * @param dir the folder that was opened
 */
export async function ownModel(dir: string, folder: ModelFolder): Promise<OwnModel | null> {
  const snapshot = snapshotOf(dir);
  if (snapshot === null || !isCommit(snapshot.commit)) return null;
  const small = SMALL_FILES.map((name) => join(folder.dir, name));
  const paths = [...small, folder.graphPath, ...folder.externalDataFiles];
  const blobs = new Map<string, string>();
  const files: HubFile[] = [];
  for (const path of paths) {
    const found = await stat(path).catch(() => null);
    if (found === null && small.includes(path)) continue;
    const real = await realpath(path);
    const digest = blobNameAt(real);
    if (digest === null || found === null) return null;
    blobs.set(digest, real);
    files.push({ path: relative(dir, path), byteLength: found.size, digest });
  }
  const cache = new HubCache(dirname(dirname(dirname(dir))), snapshot.repository);
  const revisions = (await cache.revisions()).filter(({ commit }) => commit === snapshot.commit);
  const named = revisions.map(({ revision }) => revision).slice(0, REVISIONS);
  return { list: { ...snapshot, revisions: named, files }, pathOf: (digest) => blobs.get(digest) ?? null };
}
