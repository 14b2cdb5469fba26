import { useState } from 'preact/hooks';
import type { TokensBySource } from '../../src/console/feed-messages.js';
import { ScrolledText } from '../parts/scrolled-text.js';
import type { Api } from '../session/api.js';
import { type ChatPrompt, type ColouredText, colouredPrompt } from './prompt-colours.js';

/** The prompt as the model saw it. It costs the reader's key a few requests, so it is asked for when the reader opens it. */

interface ColouredPromptProps {
  readonly api: Api;
  readonly asked: ChatPrompt;
  readonly cached: TokensBySource;
}

export function ColouredPrompt({ api, asked, cached }: ColouredPromptProps) {
  const [parts, setParts] = useState<readonly ColouredText[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const load = async () => {
    setBusy(true);
    setProblem(null);
    await colouredPrompt(api, asked, cached).then(setParts, (error: Error) => setProblem(error.message));
    setBusy(false);
  };
  return (
    <details
      onToggle={(event) => {
        if (event.currentTarget.open && parts === null && !busy) void load();
      }}
    >
      <summary>The prompt as the model saw it, coloured by source</summary>
      <p class="hint">Underlined: own memory. Dashed: another worker. Neither: computed.</p>
      {busy && <p class="hint">Loading…</p>}
      {problem !== null && (
        <div class="buttons">
          <p class="error" role="alert">
            {problem}
          </p>
          <button type="button" class="small" disabled={busy} onClick={load}>
            Try again
          </button>
        </div>
      )}
      {parts !== null && (
        // The first change of colour is in view: long prompts mostly have one, near their end.
        <ScrolledText class="prompt" label="The prompt, coloured by source" start="span + span">
          {parts.map(({ source, text }) => (
            <span key={source} class={source}>
              {text}
            </span>
          ))}
        </ScrolledText>
      )}
    </details>
  );
}
