import { z } from 'zod';
import { logprobsOf } from '../core/sampling/logprobs.js';
import { argmax } from '../core/sampling/selection.js';
import { Refused } from '../errors.js';
import { faultWords } from '../fault-words.js';

/** Greedy answers of a model as another program computes them, and how shoal's numbers compare with them. */

/** Texts in a reference, and tokens of each. */
const TEXTS = 1_000;
const TEXT_TOKENS = 16_384;

const Ids = z.array(z.int().min(0)).min(1).max(TEXT_TOKENS);
const ReferenceText = z
  .object({
    /** The text whose tokens are `tokens`; without it, the tokenizer is not compared. */
    prompt: z.string().optional(),
    tokens: Ids,
    answer: Ids,
    /** Natural log-probabilities of the answer's tokens. */
    logprobs: z.array(
      z
        .number('must be a finite number; the program that wrote NaN, Infinity or null has no such log-probability')
        .max(0),
    ),
  })
  .refine(({ answer, logprobs }) => answer.length === logprobs.length, {
    path: ['logprobs'],
    error: 'must have one number for each token of the answer',
  });
export type ReferenceText = z.infer<typeof ReferenceText>;

const ReferenceFile = z.object({
  /** The programs that made it, with their versions. */
  made_with: z.string().nullish(),
  texts: z.array(ReferenceText).min(1).max(TEXTS),
});
export type Reference = z.infer<typeof ReferenceFile>;

/**
 * Checks the contents of a reference file.
 * @param path for error messages
 * @throws Refused naming the field
 */
export function parseReference(json: unknown, path: string): Reference {
  const parsed = ReferenceFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Refused(
    `cannot read the reference ${path}: ${issue!.path.join('.')}: ${faultWords(issue!)}; docs/MODELS.md has a script that writes one`,
  );
}

/** How the model compares with a reference. */
export interface ReferenceComparison {
  /** Null if the reference does not say it. */
  readonly madeWith: string | null;
  readonly texts: number;
  /** Texts that the tokenizer turns into other tokens. */
  readonly otherTokens: number;
  readonly answerTokens: number;
  /** Tokens of answers where the model would choose another token. */
  readonly otherChoices: number;
  /** The part of `otherChoices` that rounding does not explain: the model finds its own choice clearly more likely. */
  readonly wrongChoices: number;
  /** The greatest difference of log-probabilities. */
  readonly logprobs: number;
}

/** Collects the comparison, text by text. */
export class ReferenceCheck {
  private otherTokens = 0;
  private answerTokens = 0;
  private otherChoices = 0;
  private wrongChoices = 0;
  private logprobs = 0;

  /** @param rounding the greatest difference of log-probabilities that rounding explains */
  constructor(
    private readonly reference: Reference,
    private readonly rounding: number,
  ) {}

  /** Compares the tokens of a text. */
  takeTokens(text: ReferenceText, tokens: readonly number[]): void {
    const same = tokens.length === text.tokens.length && text.tokens.every((id, i) => id === tokens[i]);
    if (!same) this.otherTokens++;
  }

  /** Compares the logits from which the answer's token `index` is chosen. */
  takeLogits({ answer, logprobs }: ReferenceText, index: number, logits: Float32Array): void {
    const token = answer[index]!;
    const { logprob } = logprobsOf(logits, token, 0);
    this.answerTokens++;
    this.logprobs = Math.max(this.logprobs, Math.abs(logprob - logprobs[index]!));
    const best = argmax(logits);
    if (best === token) return;
    this.otherChoices++;
    if (logits[best]! - logits[token]! > this.rounding) this.wrongChoices++;
  }

  get result(): ReferenceComparison {
    const { otherTokens, answerTokens, otherChoices, wrongChoices, logprobs } = this;
    const { made_with: madeWith = null, texts } = this.reference;
    return { madeWith, texts: texts.length, otherTokens, answerTokens, otherChoices, wrongChoices, logprobs };
  }
}
