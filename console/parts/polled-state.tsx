import type { Polled } from './use-polled.js';

/** Says that an answer is still to come, or why it does not come. */
export function PolledState({ polled: { answer, problem } }: { readonly polled: Polled<unknown> }) {
  if (problem !== null) {
    return (
      <p class="error" role="alert">
        {problem}
      </p>
    );
  }
  return answer === null ? <p class="hint">Loading…</p> : null;
}
