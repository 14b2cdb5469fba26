import { createHmac, hkdfSync } from 'node:crypto';
import { type Salt, saltText } from '../../src/core/salt.js';
import { PROMPT_FINGERPRINT_CHARS } from '../../src/protocol/suspicion.js';

/** Names prompts without revealing them: a hash that is keyed with the cluster secret. */
export class PromptFingerprint {
  private readonly key: Buffer;

  constructor(secret: string) {
    this.key = Buffer.from(hkdfSync('sha256', secret, '', 'shoal/prompt-fingerprint/1', 32));
  }

  /** Without the secret a fingerprint can neither be computed nor be compared with guessed prompts. */
  of(tokens: Uint32Array, salt: Salt): string {
    const text = saltText(salt);
    const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
    const hash = createHmac('sha256', this.key)
      .update(`${Buffer.byteLength(text)}:${text}`)
      .update(bytes);
    return hash.digest('hex').slice(0, PROMPT_FINGERPRINT_CHARS);
  }
}
