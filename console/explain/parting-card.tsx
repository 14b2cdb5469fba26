import { useEffect, useState } from 'preact/hooks';
import { ScrolledText } from '../parts/scrolled-text.js';
import type { Api } from '../session/api.js';
import { cutBefore, partingPieces, partingSentence, sharedTokens } from './parting.js';
import { type ExplainedPrompt, tokenText } from './use-explanation.js';

/** Where two prompts part: the words before, and the continuation of each. */

interface PartingTexts {
  readonly before: string;
  readonly first: string;
  readonly second: string;
}

interface PartingProps {
  readonly api: Api;
  readonly first: ExplainedPrompt;
  readonly second: ExplainedPrompt;
}

export function Parting({ api, first, second }: PartingProps) {
  const texts = usePartingTexts(api, first.tokens, second.tokens);
  return (
    <section class="card" aria-labelledby="parting-title">
      <h2 id="parting-title">Where they part</h2>
      <p role="status">{partingSentence(first.tokens, second.tokens)}</p>
      {texts !== null && (
        <ScrolledText class="parting" label="The words around the place">
          <span class="local">{texts.before}</span>
          {'\n'}
          <Continuation name="first" text={texts.first} />
          {'\n'}
          <Continuation name="second" text={texts.second} />
        </ScrolledText>
      )}
    </section>
  );
}

function Continuation({ name, text }: { readonly name: string; readonly text: string }) {
  return (
    <>
      <b>{name}: </b>
      {text === '' ? '(ends here)' : <span class="computed">{text}</span>}
    </>
  );
}

/** Null until they are known, and for two prompts that are the same. */
function usePartingTexts(api: Api, a: readonly number[], b: readonly number[]): PartingTexts | null {
  const [texts, setTexts] = useState<PartingTexts | null>(null);
  useEffect(() => {
    let current = true;
    const at = sharedTokens(a, b);
    setTexts(null);
    if (at === a.length && at === b.length) return;
    const { before, first, second } = partingPieces(a, b);
    const after = async ({ tokens, cut }: typeof first) => `${await tokenText(api, tokens)}${cut ? '…' : ''}`;
    const shared = tokenText(api, before.tokens).then((text) => (before.cut ? cutBefore(text) : text));
    Promise.all([shared, after(first), after(second)]).then(
      ([shown, one, other]) => current && setTexts({ before: shown, first: one, second: other }),
      // The sentence says it without them.
      () => {},
    );
    return () => {
      current = false;
    };
  }, [api, a, b]);
  return texts;
}
