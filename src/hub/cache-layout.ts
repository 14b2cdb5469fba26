import { basename, dirname, join, relative } from 'node:path';

/**
 * The layout in which the hub's own libraries keep downloads, so that shoal finds their files, and they find shoal's:
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache. Names only; nothing is read or written.
 *
 * `models--ORG--NAME/blobs/DIGEST` holds bytes, `snapshots/COMMIT/PATH` are links to them, and `refs/REVISION` holds the commit of a revision.
 */
export interface RepositoryPlaces {
  readonly folder: string;
  readonly blobs: string;
  readonly refs: string;
  readonly snapshots: string;
  /** The lock files of blobs. The hub's libraries lock the same ones. */
  readonly locks: string;
}

/** The ending of a blob that is not whole yet. */
export const UNFINISHED = '.incomplete';

const PREFIX = 'models--';
const COMMIT = /^[0-9a-f]{40}$/;
const DIGEST = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export function isCommit(text: string): boolean {
  return COMMIT.test(text);
}

/** SHA-256 of a large file, or git's SHA-1 of a small one. */
export function isBlobName(text: string): boolean {
  return DIGEST.test(text);
}

/** Whether this is the name of an unfinished blob: `DIGEST.incomplete`, or `DIGEST.xxxxxxxx.incomplete` of huggingface_hub 2. */
export function isUnfinishedName(text: string): boolean {
  return text.endsWith(UNFINISHED) && isBlobName(text.slice(0, -UNFINISHED.length).replace(/\.[^.]+$/, ''));
}

export function repositoryPlaces(cacheDir: string, repository: string): RepositoryPlaces {
  const name = PREFIX + repository.replaceAll('/', '--');
  const folder = join(cacheDir, name);
  return {
    folder,
    blobs: join(folder, 'blobs'),
    refs: join(folder, 'refs'),
    snapshots: join(folder, 'snapshots'),
    locks: join(cacheDir, '.locks', name),
  };
}

/** The repository of a folder of the cache; null for any other folder. */
export function repositoryOf(folderName: string): string | null {
  const parts = folderName.startsWith(PREFIX) ? folderName.slice(PREFIX.length).split('--') : [];
  return parts.length === 2 && parts.every((part) => part !== '') ? parts.join('/') : null;
}

/** The repository and the commit of a snapshot's folder; null for any other folder. */
export function snapshotOf(dir: string): { readonly repository: string; readonly commit: string } | null {
  const snapshots = dirname(dir);
  const repository = basename(snapshots) === 'snapshots' ? repositoryOf(basename(dirname(snapshots))) : null;
  return repository === null ? null : { repository, commit: basename(dir) };
}

/** The digest in the path of a blob, whose links are resolved; null for any other file. */
export function blobNameAt(realPath: string): string | null {
  const blobs = dirname(realPath);
  const isBlob = basename(blobs) === 'blobs' && repositoryOf(basename(dirname(blobs))) !== null;
  return isBlob && isBlobName(basename(realPath)) ? basename(realPath) : null;
}

/** The text of the link from a path of a snapshot to its blob. */
export function linkText(places: RepositoryPlaces, commit: string, path: string, blob: string): string {
  return relative(dirname(join(places.snapshots, commit, path)), join(places.blobs, blob));
}

/** Whether a path of a repository stays inside its folder. What a mirror lists is not trusted. */
export function isInside(path: string): boolean {
  const plain = path.length <= 1024 && !path.startsWith('/') && !path.includes('\\');
  return plain && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !hasControls(part));
}

function hasControls(text: string): boolean {
  return [...text].some((char) => char < ' ' || char === '\x7f');
}
