import { useState } from 'preact/hooks';
import { PromptFormChoice } from '../explain/prompt-form-choice.js';
import type { AskedPrompt, PromptForm } from '../explain/use-explanation.js';
import type { PurgeChoice } from './cache-deeds.js';

/** The form that names a prompt, a salt or a tenant to pin or purge. */

type Subject = 'prompt' | 'salt' | 'tenant';

const SUBJECTS: Readonly<Record<Subject, string>> = {
  prompt: 'a prompt',
  salt: 'a salt: all prompts that were sent with it',
  tenant: 'a tenant: all its prompts',
};
const HOURS = [1, 8, 24, 168] as const;

export interface CacheFormProps {
  readonly onPin: (asked: AskedPrompt, hours: number) => void;
  readonly onPurge: (choice: PurgeChoice) => void;
  readonly bodyOf: (asked: AskedPrompt) => Readonly<Record<string, unknown>>;
}

export function CacheForm({ onPin, onPurge, bodyOf }: CacheFormProps) {
  const [subject, setSubject] = useState<Subject>('prompt');
  const [form, setForm] = useState<PromptForm>('text');
  const [text, setText] = useState('');
  const [name, setName] = useState('');
  const [hours, setHours] = useState<number>(HOURS[0]);
  const asked: AskedPrompt = { form, text, salt: name.trim() };
  const choice = (): PurgeChoice => {
    if (subject === 'prompt') return { what: 'the blocks of this prompt', body: bodyOf(asked) };
    if (subject === 'salt') return { what: `all blocks of the salt ${name}`, body: { cache_salt: name.trim() } };
    return { what: `all blocks of the tenant ${name}`, body: { tenant: name.trim() } };
  };
  const missing = subject === 'prompt' ? text === '' : name.trim() === '';
  return (
    <section class="card" aria-labelledby="orders-title">
      <h2 id="orders-title">Keep or drop</h2>
      <div class="tools">
        <label>
          What{' '}
          <select value={subject} onChange={(event) => setSubject(event.currentTarget.value as Subject)}>
            {Object.entries(SUBJECTS).map(([value, title]) => (
              <option key={value} value={value}>
                {title}
              </option>
            ))}
          </select>
        </label>
        {subject === 'prompt' && <PromptFormChoice form={form} onChoose={setForm} />}
        <label>
          {subject === 'tenant' ? 'Tenant' : subject === 'salt' ? 'Salt' : 'Salt, if it has one'}{' '}
          <input type="text" size={16} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
      </div>
      {subject === 'prompt' && (
        <label>
          Prompt
          <textarea rows={4} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
      )}
      <p class="buttons">
        {subject === 'prompt' && (
          <>
            <button type="button" class="primary" disabled={missing} onClick={() => onPin(asked, hours)}>
              Pin
            </button>
            <HoursChoice hours={hours} onChoose={setHours} />
          </>
        )}
        <button type="button" disabled={missing} onClick={() => onPurge(choice())}>
          Purge
        </button>
      </p>
    </section>
  );
}

interface HoursChoiceProps {
  readonly hours: number;
  readonly onChoose: (hours: number) => void;
}

function HoursChoice({ hours, onChoose }: HoursChoiceProps) {
  return (
    <label>
      for{' '}
      <select value={hours} onChange={(event) => onChoose(Number(event.currentTarget.value))}>
        {HOURS.map((count) => (
          <option key={count} value={count}>
            {count === 1 ? '1 hour' : count === 168 ? '7 days' : `${count} hours`}
          </option>
        ))}
      </select>
    </label>
  );
}
