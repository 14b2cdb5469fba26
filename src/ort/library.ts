import { createRequire } from 'node:module';
import path from 'node:path';
import { chosenOrtLibrary } from '../config/ort-library.js';
import { Unavailable } from '../errors.js';
import { functionAt, loadLibrary, type NativeFunction, NULL, type Pointer, readPointer } from '../native/ffi.js';
import { type ForeignKind, type ForeignKinds, NATIVE_TYPES, SIGNATURES, type Signature } from './signatures.js';
import { disableTelemetry } from './telemetry.js';

/** Finds and loads ONNX Runtime's library, and turns its table of function pointers into functions. */

const API_VERSION = 23;
const FILE_NAMES: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

type Arguments<A extends readonly ForeignKind[]> = { [I in keyof A]: ForeignKinds[A[I]] };
type NativeOf<S> = S extends Signature<infer R, infer A> ? NativeFunction<Arguments<A>, ForeignKinds[R]> : never;

export type OrtApi = { readonly [N in keyof typeof SIGNATURES]: NativeOf<(typeof SIGNATURES)[N]> };

export interface OrtLibrary {
  readonly path: string;
  /** ONNX Runtime's version, such as `1.30.0`. */
  readonly version: string;
  readonly api: OrtApi;
}

/**
 * Loads ONNX Runtime's library, with its telemetry off.
 * @throws Unavailable if it cannot be loaded or is too old
 */
export function loadOrtLibrary(file = ortLibraryPath()): OrtLibrary {
  // `OrtApiBase` holds two function pointers: `GetApi` and `GetVersionString`.
  const base = loadApiBase(file);
  const getApi = functionAt(readPointer(base), 'uintptr_t', ['uint32_t']) as NativeFunction<[number], Pointer>;
  const getVersion = functionAt(readPointer(base + 8), 'str', []) as NativeFunction<[], string>;
  const table = getApi(API_VERSION);
  if (table === NULL) {
    throw new Unavailable(
      `cannot use ONNX Runtime ${getVersion()} from ${file}: version 1.${API_VERSION} or later is required; point SHOAL_ORT_LIBRARY at one, or reinstall onnxruntime-node`,
    );
  }
  const entries = Object.entries(SIGNATURES).map(([name, { slot, result, parameters }]) => [
    name,
    functionAt(
      readPointer(table + 8 * slot),
      NATIVE_TYPES[result],
      parameters.map((kind) => NATIVE_TYPES[kind]),
    ),
  ]);
  return { path: file, version: getVersion(), api: Object.fromEntries(entries) };
}

function loadApiBase(file: string): Pointer {
  disableTelemetry();
  try {
    return loadLibrary(file).function<[], Pointer>('OrtGetApiBase', 'uintptr_t', [])();
  } catch (cause) {
    throw new Unavailable(
      `cannot load ONNX Runtime from ${file}: the file is missing or not loadable; install the package onnxruntime-node for ${process.platform} ${process.arch}, or point SHOAL_ORT_LIBRARY at a libonnxruntime`,
      { cause },
    );
  }
}

/** The path of ONNX Runtime's library. Execution providers that are separate files lie in the same folder. */
export function ortLibraryPath(): string {
  const chosen = chosenOrtLibrary();
  if (chosen !== null) return path.resolve(chosen);
  const name = FILE_NAMES[process.platform];
  if (name === undefined) {
    throw new Unavailable(
      `cannot find ONNX Runtime: onnxruntime-node does not support ${process.platform}; point SHOAL_ORT_LIBRARY at a libonnxruntime`,
    );
  }
  const folder = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  return path.join(folder, 'bin', 'napi-v6', process.platform, process.arch, name);
}
