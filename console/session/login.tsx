import { useState } from 'preact/hooks';

/** Asks for the API key. */

export interface LoginProps {
  /** Why the page needs a key, or another one; null at first. */
  readonly why: string | null;
  readonly onKey: (key: string) => void;
}

export function Login({ why, onKey }: LoginProps) {
  const [key, setKey] = useState('');
  return (
    <main class="login">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          const trimmed = key.trim();
          if (trimmed !== '') onKey(trimmed);
        }}
      >
        <h1>shoal</h1>
        <p>
          This fleet needs an API key. With a user’s key you see the fleet and your own requests, and may chat, pin and
          purge; with an operator’s key you see all requests, and may act on the fleet.
        </p>
        <label>
          API key
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={key}
            ref={(input) => input?.focus()}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        {why !== null && (
          <p class="error" role="alert">
            {why}
          </p>
        )}
        <p class="buttons">
          <button type="submit" class="primary" disabled={key.trim() === ''}>
            Open
          </button>
        </p>
        <p class="hint">The key stays in this tab until you close it.</p>
      </form>
    </main>
  );
}
