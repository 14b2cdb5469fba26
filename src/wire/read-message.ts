import type { z } from 'zod';
import { accepts } from './accepts.js';
import { decode } from './msgpack.js';

/** Decodes a payload and checks it against a schema. Returns null for an unreadable message, which then counts as lost. */
export function readMessage<T>(schema: z.ZodType<T>, payload: Uint8Array): T | null {
  let value: unknown;
  try {
    value = decode(payload);
  } catch {
    return null;
  }
  if (accepts(schema, value)) return value;
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
