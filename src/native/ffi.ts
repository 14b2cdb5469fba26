import { constants } from 'node:buffer';
import { createRequire } from 'node:module';
import path from 'node:path';
import koffi from 'koffi';
import { chosenOrtLibrary } from '../config/ort-library.js';
import { Unavailable } from '../errors.js';
import { type ForeignKind, type ForeignKinds, NATIVE_TYPES, SIGNATURES, type Signature } from './signatures.js';

/**
 * The foreign side of ONNX Runtime: finds the library, and makes JavaScript functions of its table of function pointers.
 * The one file that knows how foreign functions are called.
 */

/** An address. Those of user space have 48 bits (57 at most where a process asks for it), so a number holds them exactly. */
export type Pointer = number;
export const NULL: Pointer = 0;

const API_VERSION = 23;
const NAMES: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

type Arguments<A extends readonly ForeignKind[]> = { [I in keyof A]: ForeignKinds[A[I]] };

export interface NativeFunction<A extends readonly unknown[], R> {
  (...args: A): R;
  /** Calls on a thread of the pool. What the arguments refer to must be kept alive until `done` is called. */
  async(...args: [...A, (error: Error | null, result: R) => void]): void;
}

type NativeOf<S> = S extends Signature<infer R, infer A> ? NativeFunction<Arguments<A>, ForeignKinds[R]> : never;

export type OrtApi = { readonly [N in keyof typeof SIGNATURES]: NativeOf<(typeof SIGNATURES)[N]> };

export interface Library {
  readonly path: string;
  readonly version: string;
  readonly api: OrtApi;
}

// WebGPU's shader compiler needs more stack than foreign calls get by default: it would end the process with SIGSEGV. Nothing may be loaded before.
koffi.config({ sync_stack_size: 8 << 20, async_stack_size: 8 << 20 });

/** A library whose handle is garbage-collected is unloaded, whoever still calls its functions. */
const loaded: unknown[] = [];

/** Loads the library. Throws `Unavailable` if it is not there, or too old. */
export function loadLibrary(file = libraryPath()): Library {
  const base = openBase(file);
  const getApi: (version: number) => Pointer = nativeFunction(readPointer(base), 'uintptr_t', ['uint32_t']);
  const getVersion: () => string = nativeFunction(readPointer(base + 8), 'str', []);
  const table = getApi(API_VERSION);
  if (table === NULL) {
    throw new Unavailable(
      `ONNX Runtime ${getVersion()} in ${file} is too old: 1.${API_VERSION} or later is needed. Point SHOAL_ORT_LIBRARY at one, or reinstall onnxruntime-node.`,
    );
  }
  const entries = Object.entries(SIGNATURES).map(([name, { slot, gives, takes }]) => [
    name,
    nativeFunction(
      readPointer(table + 8 * slot),
      NATIVE_TYPES[gives],
      takes.map((kind) => NATIVE_TYPES[kind]),
    ),
  ]);
  return { path: file, version: getVersion(), api: Object.fromEntries(entries) };
}

function openBase(file: string): Pointer {
  try {
    const library = koffi.load(file);
    loaded.push(library);
    return library.func('OrtGetApiBase', 'uintptr_t', [])();
  } catch (cause) {
    throw new Unavailable(
      `cannot load ONNX Runtime from ${file}: install the package onnxruntime-node for ${process.platform} ${process.arch}, or point SHOAL_ORT_LIBRARY at a libonnxruntime`,
      { cause },
    );
  }
}

/** Where ONNX Runtime's library is, and the providers that are files of their own beside it. */
export function libraryPath(): string {
  const chosen = chosenOrtLibrary();
  if (chosen !== null) return path.resolve(chosen);
  const name = NAMES[process.platform];
  if (name === undefined) {
    throw new Unavailable(
      `onnxruntime-node has no ONNX Runtime for ${process.platform}: point SHOAL_ORT_LIBRARY at a libonnxruntime`,
    );
  }
  const folder = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  return path.join(folder, 'bin', 'napi-v6', process.platform, process.arch, name);
}

function nativeFunction(address: Pointer, result: string, takes: string[]) {
  return koffi.decode(BigInt(address), koffi.proto(result, takes));
}

/** The pointer that is stored at an address. */
export function readPointer(address: Pointer): Pointer {
  return Number(koffi.decode.uint64(BigInt(address)));
}

/** The text that ends with a zero byte at an address. */
export function readCString(address: Pointer): string {
  return koffi.decode.string(BigInt(address));
}

/**
 * Memory at an address, without a copy. Whoever holds the result must not touch it after the memory is freed: the process
 * would crash.
 */
export function viewMemory(address: Pointer, byteLength: number): Uint8Array {
  if (byteLength === 0) return new Uint8Array(0);
  // Beyond it the runtime aborts the process instead of throwing.
  if (byteLength > constants.MAX_LENGTH) {
    throw new RangeError(`${byteLength} bytes are more than one view can show (${constants.MAX_LENGTH} bytes)`);
  }
  return new Uint8Array(koffi.view(BigInt(address), byteLength));
}

/** Memory for the results and short arrays of calls. Never freed: there is one for the process. */
export function allocateScratch(byteLength: number): Pointer {
  return Number(koffi.address(koffi.alloc('uint8_t', byteLength)));
}

const argumentsInUse = new Set<readonly unknown[]>();

/** Calls on a thread of the pool, and keeps the arguments alive meanwhile. */
export function callAsync<A extends readonly unknown[], R>(native: NativeFunction<A, R>, ...args: A): Promise<R> {
  return new Promise((resolve, reject) => {
    native.async(...args, (error, result) => {
      argumentsInUse.delete(args);
      if (error === null) resolve(result);
      else reject(error);
    });
    argumentsInUse.add(args);
  });
}

/** A function of the C library that this program is linked with; null if it has none of that name. */
export function programFunction(name: string, result: string, parameters: string[]): unknown {
  try {
    const program = koffi.load(null);
    loaded.push(program);
    return program.func(name, result, parameters);
  } catch {
    return null;
  }
}

/** A library that is not ONNX Runtime's. */
export interface ForeignLibrary {
  readonly name: string;
  /** Throws where it has no function of that name. */
  function<A extends readonly unknown[], R>(name: string, result: string, parameters: string[]): NativeFunction<A, R>;
}

/** Loads the first of these that the system's loader finds; null if it finds none. */
export function openLibrary(names: readonly string[]): ForeignLibrary | null {
  for (const name of names) {
    try {
      const library = koffi.load(name);
      loaded.push(library);
      return {
        name,
        function: <A extends readonly unknown[], R>(symbol: string, result: string, parameters: string[]) =>
          library.func(symbol, result, parameters) as unknown as NativeFunction<A, R>,
      };
    } catch {}
  }
  return null;
}
