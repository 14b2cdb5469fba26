import type { TokensBySource } from '../../src/console/feed-messages.js';
import { percent } from './words.js';

/** Where the K/V of prompt tokens came from, as a bar of three colours. */

const SOURCES = [
  ['local', 'own memory', ' (a local hit)'],
  ['remote', 'another worker', ' (a remote hit)'],
  ['computed', 'computed', ''],
] as const;

export function SourceBar({ cached, small = false }: { readonly cached: TokensBySource; readonly small?: boolean }) {
  const total = cached.local + cached.remote + cached.computed;
  const text = SOURCES.filter(([source]) => cached[source] > 0).map(
    ([source, name]) => `${name} ${cached[source]} tokens, ${percent(cached[source], total)}`,
  );
  return (
    <span
      class={small ? 'source-bar small' : 'source-bar'}
      role="img"
      aria-label={text.join('; ')}
      title={text.join('\n')}
    >
      {SOURCES.map(([source]) =>
        cached[source] === 0 ? null : (
          <span key={source} class={source} style={{ flexGrow: cached[source] }}>
            {small ? null : cached[source]}
          </span>
        ),
      )}
    </span>
  );
}

/** The meaning of the colours. */
export function SourceLegend() {
  return (
    <ul class="legend" aria-label="Where the K/V of a prompt token came from">
      {SOURCES.map(([source, name, hit]) => (
        <li key={source}>
          <span class={`swatch ${source}`} aria-hidden="true" />
          {name}
          {hit}
        </li>
      ))}
    </ul>
  );
}
