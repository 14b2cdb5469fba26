import type { z } from 'zod';
import { decode } from './msgpack.js';

/** What a payload says, if it is a message of that schema; else null: a message that nobody can read is as good as lost. */
export function readMessage<T>(schema: z.ZodType<T>, payload: Uint8Array): T | null {
  let value: unknown;
  try {
    value = decode(payload);
  } catch {
    return null;
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
