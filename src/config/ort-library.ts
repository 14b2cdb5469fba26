import { option } from './option.js';
import * as types from './option-types.js';
import { type EnvironmentVariables, readOptions } from './read-options.js';

/** The option that names another ONNX Runtime than the one of onnxruntime-node, and where it is read. */

export const ORT_LIBRARY_OPTIONS = {
  ortLibrary: option({
    flag: null,
    variable: 'SHOAL_ORT_LIBRARY',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'the one of onnxruntime-node',
    commands: ['up', 'worker', 'bench', 'doctor'],
    help: "ONNX Runtime's library to load. A variable only: programs that use the package without a command read it, too.",
  }),
} as const;

/**
 * The library that the environment names; null for the one of onnxruntime-node. It is read where the library is loaded, which may be before
 * a command's options are read, or without a command.
 */
export function chosenOrtLibrary(environment: EnvironmentVariables = process.env): string | null {
  return readOptions(ORT_LIBRARY_OPTIONS, 'worker', {}, environment).ortLibrary;
}
