import { lstat, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { makeFolder } from './cache-folder.js';
import {
  isBlobName,
  isCommit,
  isInside,
  isUnfinishedName,
  linkText,
  type RepositoryPlaces,
  repositoryOf,
  repositoryPlaces,
} from './cache-layout.js';

/** Errors of a cache in which this user may not write. */
const READ_ONLY = ['EROFS', 'EACCES', 'EPERM'];

/** The files of one repository in the hub's cache: which are there, and links to them. */
export class HubCache {
  readonly places: RepositoryPlaces;

  constructor(
    readonly cacheDir: string,
    readonly repository: string,
  ) {
    this.places = repositoryPlaces(cacheDir, repository);
  }

  /** The repositories with any cached file, in the order of their names. */
  static async repositories(cacheDir: string): Promise<string[]> {
    const names = await readdir(cacheDir).catch(() => []);
    return names
      .map(repositoryOf)
      .filter((name) => name !== null)
      .sort();
  }

  /** The commit that a revision was when it was last downloaded; null if it never was. A commit is its own. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return (await isFolder(this.snapshot(revision))) ? revision : null;
    if (!isInside(revision)) return null;
    const commit = await readFile(join(this.places.refs, revision), 'utf8').catch(() => '');
    return isCommit(commit.trim()) ? commit.trim() : null;
  }

  /** Each revision with its commit. */
  async revisions(): Promise<{ readonly revision: string; readonly commit: string }[]> {
    const found = [];
    for (const revision of await pathsBelow(this.places.refs)) {
      const commit = await this.commitOf(revision);
      if (commit !== null) found.push({ revision, commit });
    }
    return found;
  }

  async commits(): Promise<string[]> {
    return (await readdir(this.places.snapshots).catch(() => [])).filter(isCommit).sort();
  }

  /** The folder of a commit's files, in which a model can be opened. */
  snapshot(commit: string): string {
    return join(this.places.snapshots, commit);
  }

  /** The paths of a commit's files whose bytes are cached. */
  async files(commit: string): Promise<{ readonly path: string; readonly byteLength: number }[]> {
    const found = [];
    for (const path of await pathsBelow(this.snapshot(commit))) {
      const file = await stat(join(this.snapshot(commit), path)).catch(() => null);
      if (file?.isFile()) found.push({ path, byteLength: file.size });
    }
    return found;
  }

  /** Whether a path of a commit has bytes already: from `blob`, or from a file that another program stored without a link. */
  async has(
    commit: string,
    path: string,
    { blob, byteLength }: { blob: string; byteLength: number },
  ): Promise<boolean> {
    const at = join(this.snapshot(commit), path);
    const link = await readlink(at).catch(() => null);
    if (link !== null && basename(link) !== blob) return false;
    return (await stat(at).catch(() => null))?.size === byteLength;
  }

  async hasBlob(blob: string, byteLength: number): Promise<boolean> {
    return (await stat(join(this.places.blobs, blob)).catch(() => null))?.size === byteLength;
  }

  /** Makes a path of a commit a link to a blob that is there. */
  async link(commit: string, path: string, blob: string): Promise<void> {
    const at = join(this.snapshot(commit), path);
    await makeFolder(dirname(at));
    const fresh = `${at}.${process.pid}.link`;
    await rm(fresh, { force: true });
    await symlink(linkText(this.places, commit, path, blob), fresh);
    await rename(fresh, at);
  }

  /** Remembers the commit of a revision. False if the cache cannot be written: one that has all files of the commit may be so. */
  async setRevision(revision: string, commit: string): Promise<boolean> {
    if (isCommit(revision) || !isInside(revision) || (await this.commitOf(revision)) === commit) return true;
    const at = join(this.places.refs, revision);
    const fresh = `${at}.${process.pid}.part`;
    try {
      await makeFolder(dirname(at));
      await writeFile(fresh, commit);
    } catch (error) {
      if (READ_ONLY.includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
    await rename(fresh, at);
    return true;
  }

  /** Forgets a revision, and keeps its commit. */
  async removeRevision(revision: string): Promise<void> {
    await rm(join(this.places.refs, revision), { force: true });
  }

  /** Removes a commit, its revisions, unfinished blobs, and the blobs that no other commit uses. Resolves with the bytes that this frees. */
  async removeCommit(commit: string): Promise<number> {
    const before = await this.byteLength();
    for (const { revision, commit: at } of await this.revisions())
      if (at === commit) await this.removeRevision(revision);
    await rm(this.snapshot(commit), { recursive: true, force: true });
    if ((await this.commits()).length === 0) {
      await this.remove();
      return before;
    }
    const used = new Set<string>();
    for (const other of await this.commits()) {
      for (const path of await pathsBelow(this.snapshot(other))) {
        const link = await readlink(join(this.snapshot(other), path)).catch(() => null);
        if (link !== null) used.add(basename(link));
      }
    }
    for (const blob of await readdir(this.places.blobs).catch(() => []))
      if (isUnfinishedName(blob) || (isBlobName(blob) && !used.has(blob)))
        await rm(join(this.places.blobs, blob), { force: true });
    return before - (await this.byteLength());
  }

  /** The lock files of blobs that were ever downloaded. */
  async lockFiles(): Promise<string[]> {
    return (await pathsBelow(this.places.locks)).map((path) => join(this.places.locks, path));
  }

  /** Removes the repository. */
  async remove(): Promise<void> {
    await rm(this.places.folder, { recursive: true, force: true });
    await rm(this.places.locks, { recursive: true, force: true });
  }

  /** The bytes on disk, including unfinished downloads. */
  async byteLength(): Promise<number> {
    let sum = 0;
    for (const folder of [this.places.blobs, this.places.snapshots]) {
      for (const path of await pathsBelow(folder)) {
        const file = await lstat(join(folder, path)).catch(() => null);
        if (file?.isFile()) sum += file.size;
      }
    }
    return sum;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}

/** The paths of all files and links below a folder, relative to it, in order. Links to folders are not followed. */
async function pathsBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}
