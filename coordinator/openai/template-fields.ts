import { z } from 'zod';
import { InvalidRequest } from '../../src/errors.js';
import type { TemplateVariable } from '../../src/model/chat-template.js';
import { listOf } from './fields.js';
import type { RequestMessage } from './messages.js';

/** The fields of a chat that its template sees besides messages and tools. */

/** Documents, and variables of the template, in one request. */
const DOCUMENTS = 1_024;
const VARIABLES = 64;

export const Documents = listOf(z.record(z.string(), z.unknown(), { error: 'must be an object' }), DOCUMENTS);
export const TemplateVariables = z
  .record(z.string(), z.unknown())
  .refine((value) => Object.keys(value).length <= VARIABLES, `must have at most ${VARIABLES} variables`);
export const ReasoningEffort = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']);

/** Variables that are also fields of the request. */
const OWN_FIELDS = new Set(['messages', 'tools', 'documents', 'add_generation_prompt', 'continue_final_message']);

export interface TemplateFields {
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly documents?: readonly unknown[] | undefined;
  readonly reasoning_effort?: string | undefined;
  /** The field that the effort came from. Default: reasoning_effort. */
  readonly effortParam?: string;
  /** Whether the model is to reason, where its template leaves that open. */
  readonly thinking?: boolean | undefined;
  readonly add_generation_prompt?: boolean | undefined;
  readonly continue_final_message?: boolean | undefined;
}

/** The template's variables, by name. @throws InvalidRequest for one that is also a field of the request */
export function templateVariables(fields: TemplateFields): Record<string, TemplateVariable> {
  const variables: Record<string, TemplateVariable> = {};
  for (const [name, value] of Object.entries(fields.chat_template_kwargs ?? {})) {
    const param = `chat_template_kwargs.${name}`;
    if (OWN_FIELDS.has(name))
      throw new InvalidRequest(`${param}: must not be among them; send it as a field of the request`, param);
    variables[name] = { value, param };
  }
  const { documents = [], reasoning_effort: effort, effortParam: param = 'reasoning_effort' } = fields;
  if (documents.length > 0) variables.documents = { value: documents, param: 'documents' };
  if (effort !== undefined) variables.reasoning_effort = { value: effort, param };
  // The names that families of models have for it.
  if (fields.thinking !== undefined)
    for (const name of ['enable_thinking', 'thinking'])
      variables[name] = { value: fields.thinking, param: 'thinking', optional: true };
  return variables;
}

/** How a chat's text ends. @throws InvalidRequest if it cannot end so */
export function chatEnding(fields: TemplateFields, messages: readonly RequestMessage[]) {
  const isPrefix = endsInPrefix(messages);
  const { add_generation_prompt: add, continue_final_message: goOn = isPrefix } = fields;
  if (isPrefix && !goOn)
    throw new InvalidRequest(
      'continue_final_message: cannot be false where the last message has prefix: true; send one of them',
      'continue_final_message',
    );
  if (goOn && add === true) {
    const param = isPrefix ? `messages[${messages.length - 1}].prefix` : 'continue_final_message';
    throw new InvalidRequest(`${param}: cannot be combined with add_generation_prompt: true; send one of them`, param);
  }
  return { addGenerationPrompt: add ?? !goOn, continueFinalMessage: goOn };
}

/** Whether the last message is one that the answer continues. @throws InvalidRequest if an earlier one is */
function endsInPrefix(messages: readonly RequestMessage[]): boolean {
  const at = messages.findIndex(({ isPrefix }) => isPrefix);
  if (at === -1 || at === messages.length - 1) return at !== -1;
  const param = `messages[${at}].prefix`;
  throw new InvalidRequest(`${param}: must be in the last message; the answer continues it`, param);
}
