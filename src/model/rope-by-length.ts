import { z } from 'zod';
import { decoderFields } from './config.js';

/** Finds out of a config.json whether a model's rotary embeddings change with the length of the sequence. */

/** Types of rotary embeddings by length: LongRoPE under both of its names, and dynamic NTK scaling. */
const BY_LENGTH = new Set(['longrope', 'su', 'dynamic']);
/** The names of the field before and since transformers 5. */
const NAMES = ['rope_scaling', 'rope_parameters'];

const Fields = z.record(z.string(), z.unknown());
const Size = z.int().min(1);
const Scaling = z.looseObject({
  type: z.unknown().optional(),
  rope_type: z.unknown().optional(),
  /** Divisors of the frequencies for sequences on each side of the border. The first files of Phi-3 have them under the type `yarn`. */
  short_factor: z.unknown().optional(),
  long_factor: z.unknown().optional(),
  original_max_position_embeddings: z.unknown().optional(),
});

/** Rotary embeddings that change with the length of the sequence. */
interface RopeByLength {
  readonly type: string;
  /** The tokens of the longest sequence before the change; null if config.json does not tell. */
  readonly shortTokens: number | null;
}

/** The rotary embeddings that config.json names, if they change with the length of the sequence; null if not. */
export function ropeByLength(configJson: unknown): RopeByLength | null {
  const file = decoderFields(configJson);
  // Qwen's first models have no field for the type.
  if (file.use_dynamic_ntk === true) return { type: 'dynamic', shortTokens: firstSize(file.seq_length) };
  for (const scaling of NAMES.flatMap((name) => scalingsOf(file[name]))) {
    const type = String(scaling.rope_type ?? scaling.type ?? 'default');
    const original = [scaling.original_max_position_embeddings, file.original_max_position_embeddings];
    const whole = type === 'dynamic' ? [file.max_position_embeddings] : [];
    if (isByLength(type, scaling)) return { type, shortTokens: firstSize(...original, ...whole) };
  }
  return null;
}

function firstSize(...values: unknown[]): number | null {
  return values.map((value) => Size.safeParse(value)).find(({ success }) => success)?.data ?? null;
}

/** The scaling, and those within it: models with several kinds of layers have one for each kind. */
function scalingsOf(field: unknown): z.infer<typeof Scaling>[] {
  const whole = Fields.catch({}).parse(field);
  return [whole, ...Object.values(whole)]
    .map((value) => Scaling.safeParse(value))
    .flatMap(({ data }) => (data === undefined ? [] : [data]));
}

function isByLength(type: string, { short_factor: short, long_factor: long }: z.infer<typeof Scaling>): boolean {
  const hasFactors = Array.isArray(short) && Array.isArray(long);
  if (!hasFactors) return BY_LENGTH.has(type);
  // With equal factors, the tables of both sides are equal.
  return JSON.stringify(short) !== JSON.stringify(long);
}
