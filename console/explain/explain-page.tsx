import { useState } from 'preact/hooks';
import { SourceBar, SourceLegend } from '../parts/source-bar.js';
import { SAMPLE_PROMPT } from '../ring/sample-prompt.js';
import type { Api } from '../session/api.js';
import { BlockTable } from './block-table.js';
import { expectedSources, explanationSentence, tailSentence } from './block-words.js';
import { Parting } from './parting-card.js';
import { PromptFormChoice } from './prompt-form-choice.js';
import { type ExplainedPrompt, type Explanations, type PromptForm, useExplanations } from './use-explanation.js';

/** Explains where the K/V of a prompt is, block by block, and where two prompts part. */

export function ExplainPage({ api }: { readonly api: Api }) {
  const explained = useExplanations(api);
  const [first, second] = explained.prompts;
  return (
    <div class="column">
      <PromptForms explained={explained} />
      {first !== undefined && second !== undefined && <Parting api={api} first={first} second={second} />}
      {first !== undefined && (
        <Explanation title={second === undefined ? 'The prompt' : 'The first prompt'} prompt={first} other={second} />
      )}
      {second !== undefined && <Explanation title="The second prompt" prompt={second} other={first} />}
    </div>
  );
}

function PromptForms({ explained }: { readonly explained: Explanations }) {
  const [first, setFirst] = useState(SAMPLE_PROMPT);
  const [second, setSecond] = useState<string | null>(null);
  const [salt, setSalt] = useState('');
  const [form, setForm] = useState<PromptForm>('text');
  const send = () => {
    const texts = second === null ? [first] : [first, second];
    void explained.explain(texts.map((text) => ({ form, text, salt: salt.trim() })));
  };
  return (
    <form
      class="card"
      aria-labelledby="explain-title"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <h1 id="explain-title">Explain</h1>
      <p class="hint">
        Shows the blocks of a prompt, the workers that have them, and why a block is missing. Nothing is computed.
      </p>
      <div class={second === null ? '' : 'pair'}>
        <PromptText label={second === null ? 'Prompt' : 'First prompt'} value={first} onInput={setFirst} />
        {second !== null && <PromptText label="Second prompt" value={second} onInput={setSecond} />}
      </div>
      <div class="tools">
        <PromptFormChoice form={form} onChoose={setForm} />
        <label title="The field cache_salt of the requests; prompts with different salts share nothing">
          Salt <input type="text" size={14} value={salt} onInput={(event) => setSalt(event.currentTarget.value)} />
        </label>
      </div>
      <p class="buttons">
        <button type="submit" class="primary" disabled={explained.busy || first === '' || second === ''}>
          {second === null ? 'Explain' : 'Compare'}
        </button>
        <button type="button" onClick={() => setSecond(second === null ? first : null)}>
          {second === null ? 'Compare with another prompt' : 'Explain one prompt'}
        </button>
      </p>
      {explained.problem !== null && (
        <p class="error" role="alert">
          {explained.problem}
        </p>
      )}
    </form>
  );
}

interface PromptTextProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
}

function PromptText({ label, value, onInput }: PromptTextProps) {
  return (
    <label>
      {label}
      <textarea rows={7} value={value} onInput={(event) => onInput(event.currentTarget.value)} />
    </label>
  );
}

interface ExplanationProps {
  readonly title: string;
  readonly prompt: ExplainedPrompt;
  readonly other?: ExplainedPrompt | undefined;
}

function Explanation({ title, prompt, other }: ExplanationProps) {
  const { explanation, tail } = prompt;
  const last = tailSentence(explanation);
  return (
    <section class="card" aria-label={title}>
      <div class="tools">
        <h2>{title}</h2>
        <SourceLegend />
      </div>
      <p role="status">{explanationSentence(explanation)}</p>
      <SourceBar cached={expectedSources(explanation)} />
      <BlockTable name={`blocks of ${title.toLowerCase()}`} prompt={prompt} {...(other !== undefined && { other })} />
      {last !== null && (
        <p class="hint">
          {last} <span class="block-text">{tail}</span>
        </p>
      )}
    </section>
  );
}
