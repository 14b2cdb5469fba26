import { closeSync, fstatSync, readSync } from 'node:fs';
import { hostId } from '../fleet/identity.js';
import {
  HOST_HEADER,
  SHARED_FILE_NAME,
  SHARED_TYPE,
  SharedObjectAnswer,
  type SharedValuePlace,
  sharingHost,
} from '../objects/shared-object.js';
import { MarkReader, openNamed } from './mark-reader.js';
import type { ObjectApi } from './object-api.js';

/** Objects in the shared memory of a worker on this host: asks for their place, and reads them there. Without native code a reader copies. */

/** The bytes at a place, from the first byte of a buffer of their own on; null if they cannot be had there. */
export type OpenShared = (place: SharedValuePlace, bytes: number) => Uint8Array | null;

/** Places in a row that cannot be read until this client asks for none any more: it does not share the host's processes. */
const FAILURES = 3;
/** Objects whose places are remembered. */
const PLACES = 4_096;

/** After that the worker is asked although it says that nothing has changed: to ask counts as a use of the object. */
const ASK_AGAIN_MS = 5_000;

interface KnownPlace {
  readonly answer: SharedObjectAnswer;
  /** When the worker was asked last. */
  readonly atMs: number;
}

export class SharedLayers {
  private readonly host = sharingHost(hostId());
  private readonly marks = new MarkReader();
  /** By path: objects of which workers say whether they have changed. */
  private readonly places = new Map<string, KnownPlace>();
  /** By token. A file never changes, so those who read the same version share one mapping, for as long as one of them keeps it. */
  private readonly known = new Map<string, WeakRef<ArrayBufferLike>>();
  private readonly collected = new FinalizationRegistry<string>((token) => {
    if (this.known.get(token)?.deref() === undefined) this.known.delete(token);
  });
  private failures = 0;

  constructor(private readonly open: OpenShared) {}

  /** The bytes of an object, which are not to be changed; null if there is none. Rejects as `ObjectApi.send` does. */
  async read(api: ObjectApi, path: string): Promise<Buffer | null> {
    const unchanged = this.unchanged(path);
    if (unchanged !== null) return unchanged;
    this.forget(path);
    const call = { method: 'GET', path, expected: [404] } as const;
    const headers: Record<string, string> = this.failures < FAILURES ? { [HOST_HEADER]: this.host } : {};
    const answer = await api.send({ ...call, headers });
    if (answer.status === 404) return null;
    if (answer.header('content-type') !== SHARED_TYPE) return answer.bytes;
    const place = SharedObjectAnswer.parse(answer.json());
    const shared = this.at(place);
    this.failures = shared === null ? this.failures + 1 : 0;
    if (shared !== null) {
      this.remember(path, place);
      return shared;
    }
    // It has gone meanwhile, or this process does not see the worker's files.
    const sent = await api.send(call);
    return sent.status === 404 ? null : sent.bytes;
  }

  /** This client changes an object. */
  forget(path: string): void {
    this.places.delete(path);
  }

  close(): void {
    this.places.clear();
    this.marks.close();
  }

  /** The bytes of an object of which its worker says that it has not changed since it was read; null if it must be asked for. */
  private unchanged(path: string): Buffer | null {
    const place = this.places.get(path);
    if (place === undefined) return null;
    const { answer, atMs } = place;
    const { pid, mark, expiresAtMs = null } = answer;
    const nowMs = Date.now();
    if (!mark || nowMs - atMs > ASK_AGAIN_MS || (expiresAtMs !== null && expiresAtMs <= nowMs)) return null;
    return this.marks.holds(pid, mark) ? this.at(answer) : null;
  }

  private remember(path: string, answer: SharedObjectAnswer): void {
    if (this.places.size >= PLACES) this.places.delete(this.places.keys().next().value!);
    if (answer.mark) this.places.set(path, { answer, atMs: Date.now() });
  }

  private at({ bytes, ...place }: SharedObjectAnswer): Buffer | null {
    const known = this.known.get(place.token)?.deref();
    if (known !== undefined) return Buffer.from(known, 0, bytes);
    const found = this.open(place, bytes);
    if (found === null) return null;
    this.known.set(place.token, new WeakRef(found.buffer));
    this.collected.register(found.buffer, place.token);
    return Buffer.from(found.buffer, 0, bytes);
  }
}

/** A copy of the bytes at a place. */
export function copyShared({ pid, fileDescriptor, token }: SharedValuePlace, bytes: number): Uint8Array | null {
  const file = openNamed(`/proc/${pid}/fd/${fileDescriptor}`, `${SHARED_FILE_NAME}-${token}`);
  if (file === null) return null;
  try {
    if (fstatSync(file).size !== bytes) return null;
    const into = Buffer.allocUnsafeSlow(bytes);
    for (let at = 0; at < bytes; ) {
      const read = readSync(file, into, at, bytes - at, at);
      if (read === 0) return null;
      at += read;
    }
    return into;
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}
