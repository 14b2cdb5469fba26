import { useEffect, useState } from 'preact/hooks';
import { copyText } from '../parts/copy-text.js';
import { ScrolledText } from '../parts/scrolled-text.js';

/** A program to copy. */

const SAID_MS = 2_000;

export function Snippet({ title, text }: { readonly title: string; readonly text: string }) {
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (said === '') return;
    const timer = setTimeout(() => setSaid(''), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => setSaid((await copyText(text)) ? 'Copied.' : 'The browser did not copy it.');
  return (
    <>
      <p class="buttons">
        <strong>{title}</strong>
        <button type="button" class="small" aria-label={`Copy: ${title}`} onClick={copy}>
          Copy
        </button>
        <span class="hint" role="status">
          {said}
        </span>
      </p>
      <ScrolledText label={title}>{text}</ScrolledText>
    </>
  );
}
