import { type FileHandle, open } from 'node:fs/promises';
import { Overloaded, Refused, Unavailable } from '../../errors.js';
import { EXTENT_BYTES, giveExtent, takeExtent } from '../../objects/extent-pool.js';
import type { ObjectInfo } from '../../objects/object.js';
import type { ObjectName } from '../../objects/object-name.js';
import type { ObjectBody, ObjectHost, Piece, ReadOptions, ReadOutcome } from '../../objects/object-node.js';
import { LIST_KEY, MODEL_SPACE, type OwnModel } from './shared-model.js';

/** Files that are read for peers at the same time. */
const READERS = 8;
/** An object without a digest of its own: readers verify the digest by which they ask. */
const NO_DIGEST = '0'.repeat(16);

/** Gives the files of a member's model to peers, as objects that can be read only. */
export class ModelHost implements ObjectHost {
  private readers = 0;

  constructor(private readonly model: OwnModel) {}

  /** The list of files, or the file whose digest is the key. Rejects with Overloaded if many are being read. */
  async read({ space, key }: ObjectName, { from }: ReadOptions): Promise<ReadOutcome> {
    if (space !== MODEL_SPACE) return { type: 'absent' };
    const name = key.toString('latin1');
    if (name === LIST_KEY) return listed(Buffer.from(JSON.stringify(this.model.list)));
    const path = this.model.pathOf(name);
    if (path === null) return { type: 'absent' };
    if (this.readers >= READERS) throw new Overloaded(`${READERS} peers read model files here; try another one`);
    this.readers++;
    try {
      const file = await open(path, 'r');
      const { size } = await file.stat();
      const body = new FileBody(file, from, size, () => {
        this.readers--;
      });
      return { type: 'found', info: infoOf(size), body };
    } catch (cause) {
      this.readers--;
      throw new Unavailable('cannot read a file of the model', { cause });
    }
  }

  reserve(): null {
    return null;
  }

  share = refused;
  look = refused;
  write = refused;
  remove = refused;
  retime = refused;
  list = refused;
  count = refused;
  use = refused;
  flush = refused;
  versions = refused;
  take = refused;
  wanted = refused;
  owes = refused;
  differing = refused;
}

async function refused(): Promise<never> {
  throw new Refused('files of a model can be read only');
}

function infoOf(bytes: number): ObjectInfo {
  const meta = { contentType: null, fields: {}, expiresAtMs: null, token: '' };
  return { ...meta, version: { at: 0, writer: '' }, bytes, digest: NO_DIGEST };
}

function listed(bytes: Buffer): ReadOutcome {
  const pieces: Piece[] = [];
  for (let at = 0; at < bytes.byteLength; at += EXTENT_BYTES) {
    pieces.push({ bytes: bytes.subarray(at, at + EXTENT_BYTES), release: () => {} });
  }
  const body = { next: async () => pieces.shift() ?? null, close: () => {} };
  return { type: 'found', info: infoOf(bytes.byteLength), body };
}

/** The bytes of a file, from an offset on. */
class FileBody implements ObjectBody {
  constructor(
    private readonly file: FileHandle,
    private at: number,
    private readonly byteLength: number,
    private readonly onClosed: () => void,
  ) {}

  async next(): Promise<Piece | null> {
    const bytes = takeExtent(Math.max(0, Math.min(EXTENT_BYTES, this.byteLength - this.at)));
    let filled = 0;
    while (filled < bytes.byteLength) {
      const { bytesRead } = await this.file.read(bytes, filled, bytes.byteLength - filled, this.at + filled);
      if (bytesRead === 0) throw new Unavailable('a file of the model became shorter');
      filled += bytesRead;
    }
    this.at += filled;
    return filled === 0 ? null : { bytes, release: () => giveExtent(bytes) };
  }

  close(): void {
    void this.file.close();
    this.onClosed();
  }
}
