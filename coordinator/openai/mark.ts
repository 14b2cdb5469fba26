import { BLOCK_TOKENS } from '../../src/limits.js';

/** A prefix of a prompt that the client wants the fleet to keep for a time. */
export interface Mark {
  /** Whole blocks. */
  readonly tokens: Uint32Array;
  readonly ttlMs: number;
  /** The client's name for what is kept: of one name, one prompt is kept. Null for none. */
  readonly name: string | null;
}

/** The whole blocks of the beginning that two prompts share. */
export function sharedBlocks(prompt: Uint32Array, other: Uint32Array): Uint32Array {
  const most = Math.min(prompt.length, other.length);
  let shared = 0;
  while (shared < most && prompt[shared] === other[shared]) shared++;
  return prompt.slice(0, shared - (shared % BLOCK_TOKENS));
}
