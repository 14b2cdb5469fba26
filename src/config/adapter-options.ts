import { join, resolve } from 'node:path';
import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

/** The options of adapters, and the folder that they mean. */

const ADAPTERS = ['adapter add', 'adapter list', 'adapter rm'] as const satisfies readonly Command[];

/** The options of adapters. */
export const ADAPTER_OPTIONS = {
  adapterDir: option({
    flag: 'adapter-dir',
    variable: 'SHOAL_ADAPTER_DIR',
    placeholder: 'DIR',
    type: types.path,
    default: null,
    defaultNote: "adapters in the model's folder",
    commands: ['up', 'coordinator', 'worker', ...ADAPTERS],
    help: 'Folder of LoRA adapters, NAME.onnx_adapter each. Coordinators serve them under their names; workers load them when they are asked for. All members need the same files.',
  }),
  adapterBytes: option({
    flag: 'adapter-bytes',
    variable: 'SHOAL_ADAPTER_BYTES',
    placeholder: 'SIZE',
    type: types.byteSize(2 ** 20, '1MiB'),
    default: '512MiB',
    unit: 'bytes',
    commands: ['up', 'worker'],
    help: 'Memory for adapters in each worker. The least recently used one goes first.',
  }),
} as const satisfies OptionTable;

/** The folder of a fleet's adapters, as an absolute path. */
export function adapterFolderOf(adapterDir: string | null, modelDir: string): string {
  return adapterDir === null ? join(modelDir, 'adapters') : resolve(adapterDir);
}
