import { hash } from 'node:crypto';
import { z } from 'zod';
import type { ObjectInfo } from './object.js';

/** An object in a file in memory, which a client on the host of its worker reads or maps without any bytes on a connection (docs/KV.md). */

/** The request header with the client's host, and the type of an answer that says where the bytes are. */
export const HOST_HEADER = 'x-shoal-host';
export const SHARED_TYPE = 'application/vnd.shoal.shared+json';

/** The name of a host in such requests, which says nothing about it. */
export function sharingHost(hostId: string): string {
  return hash('sha256', `shoal/host/1\0${hostId}`, 'hex');
}

/** How another process of the host finds the file, which nobody can change: `/proc/PID/fd/FD`, with the token in its name. */
export const SharedValuePlace = z.object({
  pid: z.int().min(1),
  fileDescriptor: z.int().min(0),
  token: z.string().regex(/^[0-9a-z]{1,64}$/),
});
export type SharedValuePlace = z.infer<typeof SharedValuePlace>;

/** Begins the names of such files, as `src/native/shared-file` writes them. */
export const SHARED_FILE_NAME = 'shoal-object';
export const MARKS_FILE_NAME = 'shoal-marks';
/** The size of a mark: a number, the least significant byte first. */
export const MARK_BYTES = 8;

/**
 * Where the process says for how long the value is the newest of its object: in another file, as long as the mark at `slot` is `generation`. The mark at 0 is the
 * time of its last beat, by the monotonic clock of the host, in nanoseconds.
 */
export const SharedMark = z.object({
  fileDescriptor: z.int().min(0),
  token: z.string().regex(/^[0-9a-z]{1,64}$/),
  slot: z.int().min(1),
  generation: z.int().min(1),
});
export type SharedMark = z.infer<typeof SharedMark>;

/** The body of such an answer. */
export const SharedObjectAnswer = SharedValuePlace.extend({
  bytes: z.int().min(0),
  mark: SharedMark.nullable().optional(),
  /** Milliseconds since 1970; null if it does not expire. */
  expiresAtMs: z.int().nullable().optional(),
});

export type SharedObjectAnswer = z.infer<typeof SharedObjectAnswer>;

/** `elsewhere`: the object is not in shared memory of that host; its bytes have to be read. */
export type SharedOutcome =
  | {
      readonly type: 'shared';
      readonly info: ObjectInfo;
      readonly place: SharedValuePlace;
      readonly mark: SharedMark | null;
    }
  | { readonly type: 'elsewhere' }
  | { readonly type: 'absent' };
