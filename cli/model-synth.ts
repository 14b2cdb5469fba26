import { resolve } from 'node:path';
import { readOptions } from '../src/config/read-options.js';
import { SYNTH_OPTIONS } from '../src/config/synth-options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { InvalidRequest } from '../src/errors.js';
import type { CommandContext } from './context.js';

/** `shoal model synth`: writes a model folder with random weights. */
export async function modelSynth(context: CommandContext): Promise<number> {
  const {
    preset,
    out,
    context: contextTokens,
    lora: loraRank,
    ...given
  } = readOptions(SYNTH_OPTIONS, 'model synth', context.flags, context.environment);
  if (out === null) throw new WrongUsage('--out (SHOAL_SYNTH_OUT): must be the folder to write, got nothing');
  const { synthesize } = await import('../bench/synth/model-folder.js');
  const { SYNTH_PRESETS } = await import('../bench/synth/spec.js');
  const changes = Object.entries({ contextTokens, loraRank, ...given }).filter(([, value]) => value !== null);
  const folder = resolve(out);
  try {
    await synthesize({ ...SYNTH_PRESETS[preset], ...Object.fromEntries(changes) }, folder);
  } catch (error) {
    if (error instanceof InvalidRequest) throw new WrongUsage(error.message);
    throw error;
  }
  context.io.out(`wrote a model to ${folder}; to serve it: shoal up --model ${folder}\n`);
  return 0;
}
