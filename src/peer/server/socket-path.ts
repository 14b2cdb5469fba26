import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rm } from 'node:fs/promises';
import net from 'node:net';
import { InvalidRequest, Refused } from '../../errors.js';
import { SOCKET_PATH_BYTES } from '../../limits.js';
import { lockFile } from '../../native/libc.js';

/** The path of a Unix socket, which belongs to one process at a time. */

/** Characters of a lock file that an error message shows: the name of its worker. */
const OWNER_CHARS = 200;
/** Tries to lock a file that its last owner may be removing. */
const LOCK_TRIES = 8;
// The folder may be writable by other users: a link of theirs must not name the file that is truncated, nor a pipe block the open.
const LOCK_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A path that this process may listen on until `release`. The owner holds the lock of a file beside the socket, which the system releases
 * when the process ends in any way; a socket alone would not show whether its owner lives, or which of two new processes came first.
 */
export class SocketPath {
  /**
   * Takes the path, and removes the socket that a process left there when it was killed.
   * @param owner names this process to others that want the path
   * @param option the option that gave the path, for errors
   * @throws Refused if a living process has the path, InvalidRequest if no socket can be there
   */
  static async claim(path: string, owner: string, option = '--peer-socket'): Promise<SocketPath> {
    const bytes = Buffer.byteLength(path);
    if (bytes > SOCKET_PATH_BYTES) {
      throw new InvalidRequest(
        `${option}: must be a path of at most ${SOCKET_PATH_BYTES} bytes, got ${bytes} bytes: ${path}`,
        'path',
      );
    }
    const claimed = new SocketPath(path, await lock(path, option));
    try {
      await claimed.lock.truncate();
      await claimed.lock.write(owner, 0);
      await removeStale(path, option);
      return claimed;
    } catch (error) {
      await claimed.release();
      throw error;
    }
  }

  private constructor(
    private readonly path: string,
    private readonly lock: FileHandle,
  ) {}

  /** Gives the path up. To be called after the socket is closed. */
  async release(): Promise<void> {
    // Before the lock is released, so that no other process's file is removed.
    await rm(lockOf(this.path), { force: true }).catch(() => {});
    await this.lock.close();
  }
}

function lockOf(path: string): string {
  return `${path}.lock`;
}

async function lock(path: string, option: string): Promise<FileHandle> {
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    const file = await openLock(path, option);
    if (!lockFile(file.fd)) {
      const owner = await ownerIn(file).finally(() => file.close());
      throw inUse(path, owner, option);
    }
    if (await isAt(file, lockOf(path))) return file;
    // The last owner has removed the file meanwhile.
    await file.close();
  }
  throw inUse(path, 'another process', option);
}

/** Opens the lock file, or makes it. @throws InvalidRequest if it cannot, or if the file may be another user's or a link */
async function openLock(path: string, option: string): Promise<FileHandle> {
  const file = await open(lockOf(path), LOCK_FLAGS, 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ELOOP') throw notALock(path, option);
    throw new InvalidRequest(
      `${option}: cannot make a socket at ${path}: ${error.message}; choose a folder that this user may write to`,
      'path',
    );
  });
  const found = await file.stat();
  // No name at all: the last owner has removed the file meanwhile.
  if (found.isFile() && found.uid === (process.geteuid?.() ?? 0) && found.nlink <= 1) return file;
  await file.close();
  throw notALock(path, option);
}

function notALock(path: string, option: string): InvalidRequest {
  return new InvalidRequest(
    `${option}: ${lockOf(path)} is a link, or not a regular file of this user; remove it, or choose a folder that no other user may write to`,
    'path',
  );
}

async function ownerIn(file: FileHandle): Promise<string> {
  const bytes = Buffer.alloc(OWNER_CHARS);
  const { bytesRead } = await file.read(bytes, 0, OWNER_CHARS, 0);
  const owner = bytes.toString('latin1', 0, bytesRead).replace(/[^\x20-\x7e]/g, '');
  return owner === '' ? 'another process' : owner;
}

async function isAt(file: FileHandle, path: string): Promise<boolean> {
  const [held, found] = await Promise.all([file.stat(), lstat(path).catch(() => null)]);
  return found !== null && held.ino === found.ino && held.dev === found.dev;
}

/** Removes a socket that nobody listens on. */
async function removeStale(path: string, option: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (!found) return;
  if (!found.isSocket()) throw new InvalidRequest(`${option}: ${path} exists and is not a socket`, 'path');
  if (await answers(path)) throw inUse(path, 'another process', option);
  await rm(path, { force: true });
}

/** Whether somebody listens on a socket: a program that knows nothing of locks may. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once('connect', () => resolve(true));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function inUse(path: string, owner: string, option: string): Refused {
  return new Refused(
    `cannot listen on ${path}: ${owner} has this socket; give each process another ${option}, or end the other one`,
  );
}
