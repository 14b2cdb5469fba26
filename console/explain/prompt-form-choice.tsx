import type { PromptForm } from './use-explanation.js';

/** Asks in which form a prompt is sent, on which its tokens depend. */

interface PromptFormChoiceProps {
  readonly form: PromptForm;
  readonly onChoose: (form: PromptForm) => void;
}

export function PromptFormChoice({ form, onChoose }: PromptFormChoiceProps) {
  return (
    <label>
      Sent as{' '}
      <select value={form} onChange={(event) => onChoose(event.currentTarget.value as PromptForm)}>
        <option value="text">a completion’s text</option>
        <option value="chat">a chat’s first message</option>
      </select>
    </label>
  );
}
