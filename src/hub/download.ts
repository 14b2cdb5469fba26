import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { formatByteSize } from '../byte-size.js';
import { Corrupt, Refused } from '../errors.js';
import type { HubFile } from './answers.js';
import { BlobDigest } from './blob-digest.js';
import { BlobLock } from './blob-lock.js';
import { makeFolder } from './cache-folder.js';
import { UNFINISHED } from './cache-layout.js';
import type { HubApi } from './hub-api.js';
import type { HubCache } from './hub-cache.js';
import { pause } from './hub-http.js';
import type { HubId } from './hub-id.js';
import type { PullPorts } from './pull-ports.js';
import { HubUnavailable, PATIENT, type Patience, Retries } from './retry.js';

/** Where the bytes come from. */
export type HubBytes = Pick<HubApi, 'bytes'>;

/** Bytes between two reports of progress. */
const REPORT_BYTES = 1024 * 1024;
/** Files from this size on are on the disk before they become blobs. */
const SYNCED_BYTES = 64 * 2 ** 20;
/** Errors of a write that another disk or folder does not have. */
const NO_ROOM: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EFBIG: 'the file system, or a limit of this process, allows no file of this size',
};

/**
 * Downloads one file of a commit into the cache, unless it is there. One process of a host downloads a blob; others wait for it. A download that an
 * earlier process left unfinished is continued. Bytes become a blob only once their size and digest match the hub's.
 * @throws Refused, HubUnavailable after several attempts that brought nothing, Corrupt if the bytes are wrong twice, Cancelled
 */
export async function download(
  api: HubBytes,
  cache: HubCache,
  id: HubId,
  commit: string,
  file: HubFile,
  ports: PullPorts,
  patience = PATIENT,
): Promise<void> {
  const { path, byteLength, digest } = file;
  if (await cache.has(commit, path, { blob: digest, byteLength })) return;
  const { locks, blobs } = cache.places;
  await makeFolder(blobs);
  const onWait = () => ports.onEvent({ type: 'waiting', path });
  const lock = await BlobLock.acquire(join(locks, `${digest}.lock`), ports.clock, ports.signal, onWait);
  try {
    if (!(await cache.hasBlob(digest, byteLength))) {
      await new Transfer(api, id, commit, file, join(blobs, digest), ports, patience).run();
    }
  } finally {
    await lock.release();
  }
  await cache.link(commit, path, digest);
}

/** The way of one blob from the hub to its file. */
class Transfer {
  private readonly unfinished: string;

  constructor(
    private readonly api: HubBytes,
    private readonly id: HubId,
    private readonly commit: string,
    private readonly file: HubFile,
    private readonly blob: string,
    private readonly ports: PullPorts,
    private readonly patience: Patience,
  ) {
    this.unfinished = blob + UNFINISHED;
  }

  async run(): Promise<void> {
    if (await this.received()) return rename(this.unfinished, this.blob);
    await rm(this.unfinished, { force: true });
    this.ports.onEvent({ type: 'again', path: this.file.path, why: 'its digest is wrong' });
    if (await this.received()) return rename(this.unfinished, this.blob);
    await rm(this.unfinished, { force: true });
    throw new Corrupt(
      `cannot load ${this.file.path} of ${this.id.repository}: its bytes are not those of digest ${this.file.digest}; check HF_ENDPOINT and the proxy`,
    );
  }

  /** Receives the missing bytes; attempts continue while each brings some. False if the bytes are wrong. */
  private async received(): Promise<boolean> {
    const { byteLength, digest: name, path } = this.file;
    const digest = new BlobDigest(name, byteLength);
    const haveBytes = await this.readUnfinished(digest);
    await this.checkRoom(byteLength - haveBytes);
    this.ports.onEvent({ type: 'started', path, doneBytes: haveBytes, totalBytes: byteLength });
    const output = await open(this.unfinished, 'a', 0o644);
    try {
      const progress = { doneBytes: haveBytes, reportedBytes: haveBytes };
      const retries = new Retries(this.patience);
      while (progress.doneBytes < byteLength) {
        const before = progress.doneBytes;
        try {
          await this.receive(output, digest, progress);
        } catch (error) {
          if (!(error instanceof HubUnavailable)) throw error;
          if (progress.doneBytes > before) retries.progressed();
          const inMs = retries.pauseAfterMs(error);
          this.ports.onEvent({ type: 'retrying', path, why: error.message, inMs });
          await pause(this.ports.clock, inMs, this.ports.signal);
        }
      }
      // After a power cut a smaller blob is shorter than it should be, and is loaded again.
      if (byteLength >= SYNCED_BYTES) await output.datasync();
    } finally {
      await output.close();
    }
    if (!digest.matches()) return false;
    this.ports.onEvent({ type: 'finished', path, totalBytes: byteLength });
    return true;
  }

  /** Feeds the digest with the bytes of an earlier attempt, and resolves with their number. */
  private async readUnfinished(digest: BlobDigest): Promise<number> {
    const size = (await stat(this.unfinished).catch(() => null))?.size ?? 0;
    if (size > this.file.byteLength) await rm(this.unfinished);
    if (size === 0 || size > this.file.byteLength) return 0;
    for await (const chunk of createReadStream(this.unfinished, { end: size - 1, highWaterMark: REPORT_BYTES })) {
      digest.update(chunk as Uint8Array);
    }
    return size;
  }

  private async checkRoom(neededBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(join(this.blob, '..'));
    if (neededBytes <= bavail * bsize) return;
    throw new Refused(
      `cannot store ${this.file.path} of ${this.id.repository}: it needs ${formatByteSize(neededBytes)} and ${formatByteSize(bavail * bsize)} are free; ` +
        'free some with "shoal model rm", or set HF_HUB_CACHE to a folder on another disk',
    );
  }

  private async append(output: FileHandle, chunk: Uint8Array): Promise<void> {
    try {
      await appendAll(output, chunk);
    } catch (error) {
      const why = NO_ROOM[(error as NodeJS.ErrnoException).code ?? ''];
      if (why === undefined) throw error;
      throw new Refused(
        `cannot store ${this.file.path} of ${this.id.repository}: ${why}; free some with "shoal model rm", or set HF_HUB_CACHE to a folder on another disk`,
        { cause: error },
      );
    }
  }

  /** One attempt: asks for the rest and appends it. Rejects if it is cut. */
  private async receive(
    output: FileHandle,
    digest: BlobDigest,
    progress: { doneBytes: number; reportedBytes: number },
  ): Promise<void> {
    const { path, byteLength } = this.file;
    const body = await this.api.bytes(this.id, this.commit, this.file, progress.doneBytes, this.ports.signal);
    for await (const chunk of body) {
      if (progress.doneBytes + chunk.byteLength > byteLength) {
        throw new Corrupt(
          `cannot load ${path} of ${this.id.repository}: it has more than ${byteLength} bytes; check HF_ENDPOINT`,
        );
      }
      await this.append(output, chunk);
      digest.update(chunk);
      progress.doneBytes += chunk.byteLength;
      if (progress.doneBytes - progress.reportedBytes < REPORT_BYTES) continue;
      progress.reportedBytes = progress.doneBytes;
      this.ports.onEvent({ type: 'progress', path, doneBytes: progress.doneBytes, totalBytes: byteLength });
    }
    if (progress.doneBytes < byteLength) {
      throw new HubUnavailable(`the answer for ${path} ended after ${progress.doneBytes} of ${byteLength} bytes`, null);
    }
  }
}

async function appendAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) at += (await file.write(bytes, at)).bytesWritten;
}
