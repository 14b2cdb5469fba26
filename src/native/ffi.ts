import { constants } from 'node:buffer';
import koffi from 'koffi';

/** Calls functions of native libraries and reads native memory; the only file that imports koffi. */

/** An address. User-space addresses have 48 bits (at most 57 if the process asks for them), so a double holds them exactly. */
export type Pointer = number;
export const NULL: Pointer = 0;

export interface NativeFunction<A extends readonly unknown[], R> {
  (...args: A): R;
  /** Calls the function on a thread of the pool. The caller keeps everything that the arguments refer to alive until the callback. */
  async(...args: [...A, (error: Error | null, result: R) => void]): void;
}

/** A loaded shared library. */
export interface NativeLibrary {
  readonly name: string;
  /** Throws if the library has no function of that name. */
  function<A extends readonly unknown[], R>(name: string, result: string, parameters: string[]): NativeFunction<A, R>;
}

// With koffi's default stack the WebGPU shader compiler ends the process with SIGSEGV. The sizes must be set before any library is loaded.
koffi.config({ sync_stack_size: 8 << 20, async_stack_size: 8 << 20 });

/** koffi unloads a library when its handle is garbage-collected, even if its functions are still in use. */
const loaded: unknown[] = [];

/**
 * Loads a shared library, by path or by the name that the system's loader knows.
 * @throws Error with the loader's message
 */
export function loadLibrary(name: string): NativeLibrary {
  const library = koffi.load(name);
  loaded.push(library);
  return {
    name,
    function: <A extends readonly unknown[], R>(symbol: string, result: string, parameters: string[]) =>
      library.func(symbol, result, parameters) as unknown as NativeFunction<A, R>,
  };
}

/** Loads the first of these libraries that the system's loader finds; null if it finds none. */
export function loadFirstLibrary(names: readonly string[]): NativeLibrary | null {
  for (const name of names) {
    try {
      return loadLibrary(name);
    } catch {}
  }
  return null;
}

/** A function of the C library that this program is linked with; null if the C library has none of that name. */
export function programFunction(name: string, result: string, parameters: string[]): unknown {
  try {
    const program = koffi.load(null);
    loaded.push(program);
    return program.func(name, result, parameters);
  } catch {
    return null;
  }
}

/** The function at an address, for tables of function pointers. */
export function functionAt(address: Pointer, result: string, parameters: string[]): NativeFunction<never, unknown> {
  return koffi.decode(BigInt(address), koffi.proto(result, parameters));
}

/** Reads the pointer that is stored at an address. */
export function readPointer(address: Pointer): Pointer {
  return Number(koffi.decode.uint64(BigInt(address)));
}

/** Reads the zero-terminated UTF-8 string at an address. */
export function readCString(address: Pointer): string {
  return koffi.decode.string(BigInt(address));
}

/** A view of native memory, without a copy. Using the view after the memory is freed crashes the process. */
export function viewMemory(address: Pointer, byteLength: number): Uint8Array {
  if (byteLength === 0) return new Uint8Array(0);
  // V8 aborts the process for longer views instead of throwing.
  if (byteLength > constants.MAX_LENGTH) {
    throw new RangeError(`cannot view ${byteLength} bytes at once: at most ${constants.MAX_LENGTH} bytes are allowed`);
  }
  return new Uint8Array(koffi.view(BigInt(address), byteLength));
}

/** The address of the memory of a buffer. Valid as long as the buffer is. */
export function addressOf(buffer: ArrayBuffer): Pointer {
  return Number(koffi.address(buffer));
}

/** Allocates memory for the results and short array arguments of calls. It is never freed: a process allocates it once. */
export function allocateScratch(byteLength: number): Pointer {
  return Number(koffi.address(koffi.alloc('uint8_t', byteLength)));
}

const argumentsInUse = new Set<readonly unknown[]>();

/** Calls a native function on a thread of the pool, and keeps the arguments alive until the call returns. */
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
