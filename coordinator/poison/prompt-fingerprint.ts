import { createHmac, hkdfSync } from 'node:crypto';
import { type Salt, saltText } from '../../src/core/salt.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import type { Sampling, Stopping } from '../../src/protocol/generate.js';
import { PROMPT_FINGERPRINT_CHARS } from '../../src/protocol/suspicion.js';
import type { RequestName } from './request-name.js';

/** The fields of a request that reach the worker. */
export interface RequestFields {
  readonly sampling: Sampling;
  readonly stopping: Stopping;
  /** The adapter with which the model runs. Absent or null for none. */
  readonly adapter?: AdapterRef | null;
}

/** Names prompts and requests without revealing them: by hashes that are keyed with the cluster secret. */
export class PromptFingerprint {
  private readonly key: Buffer;

  constructor(secret: string) {
    this.key = Buffer.from(hkdfSync('sha256', secret, '', 'shoal/prompt-fingerprint/1', 32));
  }

  /** Without the secret a fingerprint can neither be computed nor be compared with guessed prompts. */
  of(tokens: Uint32Array, salt: Salt, adapter: AdapterRef | null = null): string {
    const text = saltText(salt) + (adapter === null ? '' : `\0${adapter.fingerprint}`);
    const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
    const hash = createHmac('sha256', this.key)
      .update(`${Buffer.byteLength(text)}:${text}`)
      .update(bytes);
    return hash.digest('hex').slice(0, PROMPT_FINGERPRINT_CHARS);
  }

  /**
   * Names a request. Its seed and the length of its answer are not part of the name: they choose among the answers that the other fields allow, and
   * clients send a new seed with each request.
   */
  nameOf(tokens: Uint32Array, salt: Salt, { sampling, stopping, adapter = null }: RequestFields): RequestName {
    const prompt = this.of(tokens, salt, adapter);
    const { seed: _, ...drawing } = sampling;
    const { minTokens, ignoreEos, tokenIds } = stopping;
    const fields = JSON.stringify([Object.entries(drawing).sort(), minTokens, ignoreEos, [...tokenIds].sort()]);
    const request = createHmac('sha256', this.key).update(`${prompt}:${fields}`).digest('hex');
    return { prompt, request: request.slice(0, PROMPT_FINGERPRINT_CHARS) };
  }
}
