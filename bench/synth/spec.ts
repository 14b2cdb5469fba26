import { z } from 'zod';
import { InvalidRequest } from '../../src/errors.js';

/** The shapes of synthetic models, checked, and named presets. */

const whole = (min: number, max: number) => z.int().min(min).max(max);

const Spec = z
  .strictObject({
    layers: whole(1, 256),
    hidden: whole(8, 32_768),
    heads: whole(1, 256),
    kvHeads: whole(1, 256),
    headDim: whole(8, 512).multipleOf(2),
    ffn: whole(8, 262_144),
    /** 256 bytes, the end token, and merges for the rest. */
    vocab: whole(257, 262_144),
    dtype: z.enum(['float32', 'float16']),
    contextTokens: whole(64, 1_048_576),
    seed: whole(0, Number.MAX_SAFE_INTEGER),
    /** `gqa` appends K/V in place; `concat` joins past and new K/V in the graph, so they cannot share buffers. */
    attention: z.enum(['gqa', 'concat']),
    /** The graph takes adapters, and the folder has two, of this rank. Absent for a graph that takes none. */
    loraRank: whole(1, 1_024).optional(),
  })
  .refine((spec) => spec.heads % spec.kvHeads === 0, { path: ['heads'], message: 'must be a multiple of kvHeads' });

/** The shape of a model with random weights. */
export type SynthSpec = z.infer<typeof Spec>;

/** Named shapes: one for tests, one for benchmarks. */
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
 * Checks a spec.
 * @throws InvalidRequest naming the field
 */
export function parseSynthSpec(spec: unknown): SynthSpec {
  const parsed = Spec.safeParse(spec);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new InvalidRequest(`${field === '' ? 'model shape' : field}: ${issue?.message}`, field);
}
