import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeModelFile } from '../synth/model-file.js';
import { END_TOKEN, synthTokenizer } from '../synth/vocabulary.js';
import { twinGraph } from './graph.js';
import type { Twin } from './twin.js';

/** Writes the model folder of a twin: graph, tokenizer and config.json. @param outDir created if missing */
export async function writeTwin(twin: Twin, outDir: string): Promise<void> {
  await mkdir(join(outDir, 'onnx'), { recursive: true });
  await writeModelFile(twinGraph(twin), join(outDir, 'onnx', 'model.onnx'));
  const end = twin.vocab - 1;
  const files = {
    'config.json': { ...twin.config, eos_token_id: end },
    'generation_config.json': { eos_token_id: end, do_sample: false },
    'tokenizer.json': synthTokenizer(twin.vocab),
    'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: END_TOKEN },
  };
  for (const [name, value] of Object.entries(files)) await writeFile(join(outDir, name), JSON.stringify(value));
}
