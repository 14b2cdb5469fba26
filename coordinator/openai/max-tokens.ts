import type { Demand } from './plan.js';

/** The greatest length of an answer under the two names that requests have for it. */

interface LengthFields {
  readonly max_completion_tokens?: number | undefined;
  readonly max_tokens?: number | undefined;
}

/** Null if none is given. `max_completion_tokens`, the newer name, wins if both are. */
export function maxTokensOf(request: LengthFields): Demand['maxTokens'] {
  for (const param of ['max_completion_tokens', 'max_tokens'] as const) {
    const value = request[param];
    if (value !== undefined) return { value, param };
  }
  return null;
}
