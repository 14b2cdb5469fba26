import { z } from 'zod';

/** Adapters in messages between members. */

/** Length of an adapter's name, and of the name of its file. */
export const ADAPTER_NAME_CHARS = 128;
/** Adapters that an announcement lists as loaded. */
export const LOADED_ADAPTERS = 256;

/** SHA-256 of an adapter's file, in hex. */
export const AdapterFingerprint = z.string().regex(/^[0-9a-f]{64}$/);

/** An adapter, and where its file is. */
export const AdapterRef = z.strictObject({
  name: z.string().min(1).max(ADAPTER_NAME_CHARS),
  /** The file's name within the fleet's folder of adapters. */
  file: z.string().min(1).max(256),
  fingerprint: AdapterFingerprint,
  /** The size of the file. */
  bytes: z.int().min(1),
});
export type AdapterRef = z.infer<typeof AdapterRef>;
