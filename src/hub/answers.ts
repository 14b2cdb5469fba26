import { z } from 'zod';
import { Corrupt } from '../errors.js';
import { isBlobName, isCommit, isInside } from './cache-layout.js';

/** The hub's JSON answers, checked: the commit of a revision, and the files of a commit. */

/** A file of a commit. */
export interface HubFile {
  readonly path: string;
  readonly byteLength: number;
  /** The name of its blob: SHA-256 of a file in LFS, else git's SHA-1 of a blob. */
  readonly digest: string;
}

const Revision = z.looseObject({ sha: z.string().refine(isCommit) });

const byteLength = z.int().min(0);
const Entry = z.looseObject({
  type: z.string(),
  path: z.string(),
  oid: z.string(),
  size: byteLength.nullish(),
  lfs: z.looseObject({ oid: z.string(), size: byteLength }).nullish(),
});
const Entries = z.array(Entry).max(10_000);

/** The commit of an answer to `/api/models/{repo}/revision/{revision}`. @throws Corrupt */
export function readRevision(json: unknown, from: string): string {
  const parsed = Revision.safeParse(json);
  if (parsed.success) return parsed.data.sha;
  throw new Corrupt(`cannot read the answer of ${from}: it names no commit; check HF_ENDPOINT`);
}

/** The files of an answer to `/api/models/{repo}/tree/{commit}`. @throws Corrupt also for a path that leaves its folder */
export function readTree(json: unknown, from: string): HubFile[] {
  const parsed = Entries.safeParse(json);
  if (!parsed.success) {
    throw new Corrupt(`cannot read the answer of ${from}: it is not a list of files; check HF_ENDPOINT`);
  }
  const files = parsed.data.filter(({ type }) => type === 'file').map(hubFile);
  const wrong = files.find(({ path, digest }) => !isInside(path) || !isBlobName(digest));
  if (wrong === undefined) return files;
  const named = JSON.stringify(wrong.path.slice(0, 200));
  throw new Corrupt(`cannot trust the answer of ${from}: the path or the digest of ${named} is invalid`);
}

function hubFile({ path, oid, size, lfs }: z.infer<typeof Entry>): HubFile {
  if (lfs) return { path, byteLength: lfs.size, digest: lfs.oid.replace(/^sha256:/, '') };
  return { path, byteLength: size ?? 0, digest: oid };
}
