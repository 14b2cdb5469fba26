import { useRef, useState } from 'preact/hooks';
import type { CacheExplanation } from '../../src/console/cache-answers.js';
import type { Api } from '../session/api.js';
import { BLOCK_TOKENS } from './parting.js';

/** A prompt as the coordinator explains it. */

/** How the text becomes a prompt: as it is, or as the message of a user in the model's chat template. */
export type PromptForm = 'text' | 'chat';

export interface AskedPrompt {
  readonly form: PromptForm;
  readonly text: string;
  /** Empty for none. */
  readonly salt: string;
}

export interface ExplainedPrompt {
  readonly asked: AskedPrompt;
  readonly tokens: readonly number[];
  readonly explanation: CacheExplanation;
  /** The text of the first blocks, and of what follows the last block. */
  readonly texts: readonly string[];
  readonly tail: string;
}

/** Limit on the blocks whose text is shown. */
const SHOWN_TEXTS = 64;

/** Asks for the tokens of the prompt, and for where its blocks are. @throws ApiFailure */
async function explainPrompt(api: Api, asked: AskedPrompt): Promise<ExplainedPrompt> {
  const { tokens } = await api.post<{ tokens: number[] }>('/tokenize', promptBody(asked));
  const salted = asked.salt === '' ? {} : { cache_salt: asked.salt };
  const explanation = await api.post<CacheExplanation>('/v1/cache/explain', { tokens, ...salted });
  const { blocks } = explanation;
  const texts: string[] = [];
  for (const { index } of blocks.slice(0, SHOWN_TEXTS)) texts.push(await tokenText(api, blockTokens(tokens, index)));
  return { asked, tokens, explanation, texts, tail: await tokenText(api, tokens.slice(BLOCK_TOKENS * blocks.length)) };
}

/** The fields of a request that name the prompt. */
export function promptBody({ form, text }: AskedPrompt): Record<string, unknown> {
  if (form === 'text') return { prompt: text };
  return { messages: [{ role: 'user', content: text }], add_generation_prompt: true };
}

/** The text of tokens. @throws ApiFailure */
export async function tokenText(api: Api, tokens: readonly number[]): Promise<string> {
  return tokens.length === 0 ? '' : (await api.post<{ prompt: string }>('/detokenize', { tokens })).prompt;
}

function blockTokens(tokens: readonly number[], index: number): readonly number[] {
  return tokens.slice(BLOCK_TOKENS * index, BLOCK_TOKENS * (index + 1));
}

export interface Explanations {
  /** One prompt, or two that are compared. */
  readonly prompts: readonly ExplainedPrompt[];
  readonly busy: boolean;
  readonly problem: string | null;
  explain(asked: readonly AskedPrompt[]): Promise<void>;
}

export function useExplanations(api: Api): Explanations {
  const [prompts, setPrompts] = useState<readonly ExplainedPrompt[]>([]);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const latest = useRef(0);
  const explain = async (asked: readonly AskedPrompt[]) => {
    const turn = ++latest.current;
    setBusy(true);
    setProblem(null);
    try {
      const explained = await Promise.all(asked.map((each) => explainPrompt(api, each)));
      if (turn === latest.current) setPrompts(explained);
    } catch (error) {
      if (turn === latest.current) setProblem((error as Error).message);
    }
    if (turn === latest.current) setBusy(false);
  };
  return { prompts, busy, problem, explain };
}
