import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatByteSize } from '../src/byte-size.js';
import { adapterFolderOf } from '../src/config/adapter-options.js';
import { readValues } from '../src/config/config.js';
import { modelFolder, namedGraph } from '../src/config/model-folder.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { Corrupt, Refused } from '../src/errors.js';
import { type AdapterParameter, readAdapter, writeAdapter } from '../src/model/adapter/adapter-file.js';
import { AdapterFolder, checkAdapterName } from '../src/model/adapter/adapter-folder.js';
import { checkAdapter } from '../src/model/adapter/check-adapter.js';
import { type LoraInput, loraInputs } from '../src/model/adapter/lora-input.js';
import { convertPeft, peftScale } from '../src/model/adapter/peft.js';
import { readSafetensors } from '../src/model/adapter/safetensors.js';
import { openModelFolder } from '../src/model/folder.js';
import type { CommandContext } from './context.js';

/** `shoal adapter add`: checks an adapter against a model's graph, converts it if PEFT wrote it, and puts it into the folder of adapters. */

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

export async function adapterAdd(context: CommandContext): Promise<number> {
  const values = readValues('adapter add', context);
  const [name, source, ...rest] = context.args;
  if (name === undefined || source === undefined || rest.length > 0)
    throw new WrongUsage('shoal adapter add: needs the name of the adapter, and its folder or file');
  checkAdapterName(name);
  const modelDir = modelFolder(values.model, values.modelFile);
  const folder = await openModelFolder(modelDir, namedGraph(values));
  const inputs = loraInputs(folder.graph);
  if (inputs.length === 0)
    throw new Refused(
      `cannot add an adapter to ${folder.name}: the graph ${folder.graphPath} takes none; export the model with LoRA inputs that have defaults`,
    );
  const parameters = await parametersIn(source, inputs);
  const rank = checkAdapter(parameters, inputs);
  const to = new AdapterFolder(adapterFolderOf(values.adapterDir, modelDir));
  const { file, bytes } = await to.write(name, writeAdapter(parameters));
  const fingerprint = await to.fingerprint({ file });
  const report = { name, file: join(to.dir, file), bytes, rank, modules: parameters.length / 2, fingerprint };
  if (values.json) context.io.out(`${JSON.stringify(report)}\n`);
  else
    context.io.out(
      `added ${name}: rank ${rank}, ${report.modules} modules, ${formatByteSize(bytes)}, in ${report.file}; clients choose it by model: "${name}"\n`,
    );
  return 0;
}

/** The parameters of an adapter in either form. @throws Refused naming the file */
async function parametersIn(source: string, inputs: readonly LoraInput[]): Promise<AdapterParameter[]> {
  const found = await stat(source).catch(() => null);
  if (found === null) throw new Refused(`cannot add an adapter: there is no ${source}`);
  const file = found.isDirectory() ? join(source, WEIGHTS) : source;
  try {
    if (file.endsWith('.onnx_adapter')) return readAdapter(await bytesOf(file));
    const scale = peftScale(JSON.parse((await bytesOf(join(dirname(file), CONFIG))).toString()));
    return convertPeft(readSafetensors(await bytesOf(file)), scale, inputs);
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new Refused(`cannot add ${source}: ${CONFIG} is not JSON`, { cause: error });
    if (!(error instanceof Refused || error instanceof Corrupt)) throw error;
    throw new Refused(`cannot add ${source}: ${error.message}`, { cause: error });
  }
}

async function bytesOf(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new Refused(
      `${file} cannot be read; an adapter is a file .onnx_adapter, or a folder with ${CONFIG} and ${WEIGHTS} (an adapter_model.bin must be saved as safetensors first)`,
      { cause },
    );
  }
}
