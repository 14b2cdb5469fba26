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

/** The body of such an answer. */
export const SharedAnswer = SharedValuePlace.extend({ bytes: z.int().min(0) });

/** `elsewhere`: the object is not in shared memory of that host; its bytes have to be read. */
export type SharedOutcome =
  | { readonly type: 'shared'; readonly info: ObjectInfo; readonly place: SharedValuePlace }
  | { readonly type: 'elsewhere' }
  | { readonly type: 'absent' };
