import { z } from 'zod';
import { Refused } from '../errors.js';
import { faultWords } from '../fault-words.js';
import { LEAST_REPETITION_PENALTY } from '../limits.js';

/** Reads the defaults for sampling from generation_config.json. */

/** The sampling parameters that the model's authors recommend; null where they recommend none. Greedy decoding is temperature 0. */
export interface SamplingDefaults {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly minP: number | null;
  readonly repetitionPenalty: number | null;
}

/** Replaces a `top_p` of 0, which keeps only the most likely token. */
const LEAST_TOP_P = 1e-9;

const GenerationConfigFile = z.looseObject({
  /** Read by `endTokenIds`. */
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
  do_sample: z.boolean().nullish(),
  temperature: z.number().min(0).nullish(),
  top_p: z
    .number()
    .min(0)
    .max(1)
    .transform((share) => Math.max(share, LEAST_TOP_P))
    .nullish(),
  /** Files that were written for vLLM say -1 for "all". */
  top_k: z
    .int()
    .min(-1)
    .transform((count) => Math.max(count, 0))
    .nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().min(LEAST_REPETITION_PENALTY).nullish(),
});

/**
 * The defaults of a generation_config.json. Its sampling parameters apply only if the file turns sampling on.
 * @param dir the model folder, for error messages
 * @throws Refused naming the field that is wrong
 */
export function samplingDefaults(json: Record<string, unknown>, dir: string): SamplingDefaults {
  const parsed = GenerationConfigFile.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Refused(
      `cannot open model folder ${dir}: generation_config.json: ${issue!.path.join('.')}: ${faultWords(issue!)}; correct the file`,
    );
  }
  const generation = parsed.data;
  const repetitionPenalty = generation.repetition_penalty ?? null;
  if (generation.do_sample === true) {
    const { temperature = null, top_p: topP = null, top_k: topK = null, min_p: minP = null } = generation;
    return { temperature, topP, topK, minP, repetitionPenalty };
  }
  const temperature = generation.do_sample === false ? 0 : null;
  return { temperature, topP: null, topK: null, minP: null, repetitionPenalty };
}
