import { z } from 'zod';
import { InvalidRequest } from '../../src/errors.js';

const whole = (least: number, most: number) => z.int().min(least).max(most);

const Spec = z
  .strictObject({
    layers: whole(1, 256),
    hidden: whole(8, 32_768),
    heads: whole(1, 256),
    kvHeads: whole(1, 256),
    headDim: whole(8, 512).multipleOf(2),
    ffn: whole(8, 262_144),
    /** 256 bytes, the end token, and what is left of it as merges. */
    vocab: whole(257, 262_144),
    dtype: z.enum(['float32', 'float16']),
    contextTokens: whole(64, 1_048_576),
    seed: whole(0, Number.MAX_SAFE_INTEGER),
    /** `gqa` has K/V appended in place; `concat` joins past and new K/V in the graph, which then can't share buffers. */
    attention: z.enum(['gqa', 'concat']),
  })
  .refine((spec) => spec.heads % spec.kvHeads === 0, { path: ['heads'], message: 'must be a multiple of kvHeads' });

/** Shape of a model with random weights. */
export type SynthSpec = z.infer<typeof Spec>;

/** Shapes with a name: one for tests, one to measure with. */
export const SYNTH_PRESETS = {
  tiny: {
    layers: 2,
    hidden: 64,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    ffn: 128,
    vocab: 512,
    dtype: 'float32',
    contextTokens: 2048,
    seed: 1,
    attention: 'gqa',
  },
  'bench-90m': {
    layers: 12,
    hidden: 768,
    heads: 12,
    kvHeads: 4,
    headDim: 64,
    ffn: 2048,
    vocab: 8192,
    dtype: 'float32',
    contextTokens: 4096,
    seed: 1,
    attention: 'gqa',
  },
} as const satisfies Record<string, SynthSpec>;

export type SynthPreset = keyof typeof SYNTH_PRESETS;

/**
 * A spec from outside, checked.
 * @throws InvalidRequest that names the field
 */
export function parseSynthSpec(spec: unknown): SynthSpec {
  const parsed = Spec.safeParse(spec);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new InvalidRequest(`shape of the model to make: ${field}: ${issue?.message}`, field);
}
