import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { hostId } from '../fleet/identity.js';
import {
  HOST_HEADER,
  SHARED_TYPE,
  SharedAnswer,
  type SharedValuePlace,
  sharingHost,
} from '../objects/shared-object.js';
import type { HttpAnswer } from './http-exchange.js';
import type { ObjectApi } from './object-api.js';

/** Objects in the shared memory of a worker on this host: asks for their place, and reads them there. Without native code a reader copies. */

/** The bytes at a place, from the first byte of a buffer of their own on; null if they cannot be had there. */
export type OpenShared = (place: SharedValuePlace, bytes: number) => Uint8Array | null;

/** Places in a row that cannot be read until this client asks for none any more: it does not share the host's processes. */
const FAILURES = 3;

export class SharedLayers {
  private readonly host = sharingHost(hostId());
  /** By token. A file never changes, so those who read the same version share one mapping, for as long as one of them keeps it. */
  private readonly known = new Map<string, WeakRef<ArrayBufferLike>>();
  private readonly collected = new FinalizationRegistry<string>((token) => {
    if (this.known.get(token)?.deref() === undefined) this.known.delete(token);
  });
  private failures = 0;

  constructor(private readonly open: OpenShared) {}

  /** The bytes of an object, which are not to be changed; null if there is none. Rejects as `ObjectApi.send` does. */
  async read(api: ObjectApi, path: string): Promise<Buffer | null> {
    const call = { method: 'GET', path, expected: [404] } as const;
    const headers: Record<string, string> = this.failures < FAILURES ? { [HOST_HEADER]: this.host } : {};
    const answer = await api.send({ ...call, headers });
    if (answer.status === 404) return null;
    if (answer.header('content-type') !== SHARED_TYPE) return answer.bytes;
    const shared = this.at(answer);
    if (shared !== null) return shared;
    // It has gone meanwhile, or this process does not see the worker's files.
    const sent = await api.send(call);
    return sent.status === 404 ? null : sent.bytes;
  }

  private at(answer: HttpAnswer): Buffer | null {
    const { bytes, ...place } = SharedAnswer.parse(answer.json());
    const known = this.known.get(place.token)?.deref();
    if (known !== undefined) return Buffer.from(known, 0, bytes);
    const found = this.open(place, bytes);
    this.failures = found === null ? this.failures + 1 : 0;
    if (found === null) return null;
    this.known.set(place.token, new WeakRef(found.buffer));
    this.collected.register(found.buffer, place.token);
    return Buffer.from(found.buffer, 0, bytes);
  }
}

/** A copy of the bytes at a place. */
export function copyShared({ pid, fileDescriptor, token }: SharedValuePlace, bytes: number): Uint8Array | null {
  let file: number | null = null;
  try {
    file = openSync(`/proc/${pid}/fd/${fileDescriptor}`, constants.O_RDONLY | constants.O_NONBLOCK);
    // The descriptor may be another file's by now.
    const name = readlinkSync(`/proc/self/fd/${file}`);
    const isRight = name.startsWith('/memfd:') && name.includes(`-${token} `) && fstatSync(file).size === bytes;
    if (!isRight) return null;
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
    if (file !== null) closeSync(file);
  }
}
