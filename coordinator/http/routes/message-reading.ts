import type { NamedConstraint } from '../../openai/constraint-fields.js';
import { framed, messagePlan } from '../../openai/message/message-plan.js';
import { callReading, strictCalls, type ToolFields, toolConstraint, toolUseOf } from '../../openai/tool-use.js';
import type { GenerationDeps, MessageReading } from './generation.js';

/**
 * How the answers to a conversation are read: reasoning, calls of its tools, and text.
 * @param format a constraint on the text of the answer; null for none
 */
export function messageReading(
  fields: ToolFields,
  format: NamedConstraint | null,
  { model, random }: Pick<GenerationDeps, 'model' | 'random'>,
): MessageReading {
  const use = toolUseOf(fields);
  const calls = callReading(use, model.message, (bytes) => random.bytes(bytes));
  return {
    constraints: [toolConstraint(use, model.message) ?? format].filter((one) => one !== null),
    ifFree: [strictCalls(use, model.message)].filter((one) => one !== null),
    frame: (constraint, { tokens }) => framed(constraint, tokens, model),
    planOf: ({ tokens }, enforced) => {
      // An answer with a form of its own is text, also where that form looks like a call.
      const read = enforced && use.type === 'auto' ? null : calls;
      return messagePlan(tokens, model.message, { calls: read, enforced }, model.tokenizer);
    },
  };
}
