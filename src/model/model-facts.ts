import { z } from 'zod';
import { ChatTemplate } from './chat-template.js';
import type { ModelFolder } from './folder.js';

/** Describes a model in words, from the files of its folder. */

export interface ModelFacts {
  readonly name: string;
  readonly modelType: string;
  readonly architectures: readonly string[];
  /** Rotary position embeddings as config.json has them; null if it names none. The graph has the last word. */
  readonly rope: { readonly type: string; readonly theta: number | null; readonly factor: number | null } | null;
  /** Tokens that a layer with a sliding window looks back; null if no layer has one. */
  readonly windowTokens: number | null;
  readonly template: 'none' | 'without tools' | 'with tools';
}

const Scaling = z
  .looseObject({
    type: z.string().optional(),
    rope_type: z.string().optional(),
    rope_theta: z.number().optional(),
    factor: z.number().optional(),
  })
  .nullish()
  .catch(null);

const Positions = z.looseObject({
  architectures: z.array(z.string()).nullish().catch(null),
  rope_theta: z.number().nullish().catch(null),
  rope_scaling: Scaling,
  /** The name of transformers 5, with `rope_theta` inside. */
  rope_parameters: Scaling,
  sliding_window: z.number().nullish().catch(null),
  use_sliding_window: z.boolean().nullish().catch(null),
});
const Whole = z.looseObject({ text_config: z.record(z.string(), z.unknown()).nullish().catch(null) });

/** The facts about a model. @throws Refused if its template is not valid Jinja */
export function modelFacts(folder: ModelFolder): ModelFacts {
  const whole = Whole.parse(folder.configJson);
  const config = Positions.parse({ ...folder.configJson, ...whole.text_config });
  return {
    name: folder.name,
    modelType: folder.config.modelType,
    architectures: Positions.parse(whole).architectures ?? [],
    rope: ropeOf(config),
    windowTokens: config.use_sliding_window === false ? null : (config.sliding_window ?? null),
    template: templateOf(folder),
  };
}

function ropeOf(config: z.infer<typeof Positions>): ModelFacts['rope'] {
  const scaling = config.rope_scaling ?? config.rope_parameters ?? null;
  const theta = config.rope_theta ?? scaling?.rope_theta ?? null;
  if (scaling === null && theta === null) return null;
  return { type: scaling?.rope_type ?? scaling?.type ?? 'default', theta, factor: scaling?.factor ?? null };
}

function templateOf(folder: ModelFolder): ModelFacts['template'] {
  const template = ChatTemplate.forTools(folder);
  if (template === null) return 'none';
  return template.takesTools ? 'with tools' : 'without tools';
}
