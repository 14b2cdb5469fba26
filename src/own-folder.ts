import type { Stats } from 'node:fs';
import { lstat, mkdir, readlink } from 'node:fs/promises';
import { dirname, isAbsolute, join, parse, resolve } from 'node:path';

/**
 * Folders of this user alone: nobody else may put files in them. Beyond the folder, as `StrictModes` of sshd does, the folders above it are checked: a
 * user who may write to one of them can replace the next.
 */

export interface OwnFolder {
  /** Its real path: a link on the way that is changed later leads nowhere else. */
  readonly path: string;
  /** What is wrong with the way to it, and how to mend that; null for nothing. */
  readonly warning: string | null;
}

/** The folder, or a link to it, is in the hands of another user. The message says how to mend that. */
export class ForeignFolder extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ForeignFolder';
  }
}

const WRITABLE_BY_OTHERS = 0o022;
/** Only the owner of an entry may replace it, even if others may write to the folder. */
const STICKY = 0o1000;
/** This user may write to any folder, regardless of its mode. */
const SUPERUSER = 0;
/** As many links as Linux follows. */
const LINKS = 40;

/**
 * Finds a folder, or makes it with its parents, each for this user alone. A folder that is there keeps its mode.
 * @throws ForeignFolder if others may write to it, if it belongs to another user, or if another user's link leads to it; otherwise rejects with the
 * system's error
 */
export async function ownFolder(path: string): Promise<OwnFolder> {
  const { folder, parents } = await follow(resolve(path));
  refuseForeign(folder);
  const doubt = parents.map(doubtOf).find((each) => each !== null) ?? null;
  const fix = 'make it a folder of this user or of root that others cannot write to (chmod go-w, or chmod +t)';
  const warning = doubt && `${doubt}: another user can put another folder in the place of ${folder.path}; ${fix}`;
  return { path: folder.path, warning };
}

interface Found {
  readonly path: string;
  readonly stats: Stats;
}

/** Goes the way to a folder step by step, through links, and makes what is missing. */
async function follow(path: string): Promise<{ readonly folder: Found; readonly parents: readonly Found[] }> {
  const { root } = parse(path);
  const passed: Found[] = [{ path: root, stats: await lstat(root) }];
  const steps = stepsOf(path);
  for (let links = 0; steps.length > 0; ) {
    const step = steps.shift()!;
    const at = passed.at(-1)!;
    if (step === '..') {
      if (passed.length > 1) passed.pop();
      continue;
    }
    const next = join(at.path, step);
    const stats = await lstatOrMake(next);
    if (!stats.isSymbolicLink()) {
      if (!stats.isDirectory()) throw systemError('ENOTDIR', `${next} is not a folder`);
      passed.push({ path: next, stats });
      continue;
    }
    if (++links > LINKS) throw systemError('ELOOP', `${path} has too many links`);
    if (!isTrusted(stats.uid) && stats.uid !== at.stats.uid) {
      throw new ForeignFolder(`the link ${next} belongs to user ${stats.uid}; name the folder that it leads to`);
    }
    const target = await readlink(next);
    if (isAbsolute(target)) passed.splice(1);
    steps.unshift(...stepsOf(target));
  }
  return { folder: passed.at(-1)!, parents: passed.slice(0, -1) };
}

/** As the system's own, so that callers tell it from mistakes. */
function systemError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

function stepsOf(path: string): string[] {
  return path
    .slice(parse(path).root.length)
    .split(/[\\/]/)
    .filter((step) => step !== '' && step !== '.');
}

async function lstatOrMake(path: string): Promise<Stats> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    // Another process has made it meanwhile.
    if (error.code !== 'EEXIST') throw error;
  });
  return lstat(path);
}

function isTrusted(uid: number): boolean {
  return uid === SUPERUSER || uid === (process.getuid?.() ?? uid);
}

function refuseForeign({ path, stats: { mode, uid } }: Found): void {
  const own = process.getuid?.() ?? uid;
  if (!isTrusted(uid)) {
    throw new ForeignFolder(
      `${path} belongs to user ${uid}, and this process runs as user ${own}; give a folder of its own, for example a new one in ${dirname(path)}, or change its owner (chown ${own})`,
    );
  }
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  throw new ForeignFolder(
    `others may write to ${path} (mode ${octal(mode)}); give a folder of this process's own, for example a new one in it, or forbid group and others to write to it (chmod go-w)`,
  );
}

/** What lets another user replace what is in a folder; null for nothing. */
function doubtOf({ path, stats: { mode, uid } }: Found): string | null {
  if (!isTrusted(uid)) return `${path} belongs to user ${uid}`;
  return (mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0
    ? `others may write to ${path} (mode ${octal(mode)})`
    : null;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8);
}
