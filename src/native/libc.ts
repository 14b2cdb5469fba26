import { callAsync, type NativeFunction, type Pointer, programFunction } from './ffi.js';

/** What of the C library, and of Linux behind it, Node has no call for. Where a function is not there, its feature is not. */

type Func<A extends readonly unknown[], R = number> = NativeFunction<A, R>;

const functions = new Map<string, unknown>();

/** A function of the C library; null where it has none of that name, or where it would mean another thing. */
function libc<A extends readonly unknown[]>(name: string, result: string, parameters: string[]): Func<A> | null {
  if (process.platform !== 'linux') return null;
  if (!functions.has(name)) functions.set(name, programFunction(name, result, parameters));
  return functions.get(name) as Func<A> | null;
}

const PAGE_BYTES = 4096;
const ADVICE_DROP_PAGES = 4;
const ADVICE_HUGE_PAGES = 14;
/** Kernels older than 5.14 do not know it, and answer with an error that harms nobody. */
const ADVICE_POPULATE_WRITE = 23;

const madvise = () => libc<[number, number, number]>('madvise', 'int', ['uint64_t', 'size_t', 'int']);

/**
 * Has the system put real memory behind a range that was only promised so far, on a thread of the pool, in large pages where it can: a first
 * write costs a page fault each 4 KiB else, which is slower than the copy itself. Contents stay. Does nothing where there is no such call.
 */
export async function commitMemory(pointer: Pointer, byteLength: number): Promise<void> {
  const advise = madvise();
  const from = Math.ceil(pointer / PAGE_BYTES) * PAGE_BYTES;
  const bytes = Math.floor((pointer + byteLength - from) / PAGE_BYTES) * PAGE_BYTES;
  if (advise === null || bytes <= 0) return;
  advise(from, bytes, ADVICE_HUGE_PAGES);
  await callAsync(advise, from, bytes, ADVICE_POPULATE_WRITE);
}

/** Forgets which pages of a mapped file this process has seen. They stay in the file, and do not count as this process's memory meanwhile. */
export function dropPages(pointer: Pointer, byteLength: number): void {
  madvise()?.(pointer, byteLength, ADVICE_DROP_PAGES);
}

/**
 * Has the C library give freed memory back to the system. glibc keeps what loading a model took meanwhile: as much again as
 * the model. Does nothing with a C library that has no such call.
 */
export async function giveBackFreedMemory(): Promise<void> {
  const trim = libc<[number]>('malloc_trim', 'int', ['size_t']);
  if (trim !== null) await callAsync(trim, 0);
}

const LEVEL_SOCKET = 1;
const OPTION_SEND_BUFFER = 7;
const OPTION_PEER = 17;

/**
 * Sets how much the kernel holds of what was written to a socket and not yet read from its other end, at most what the system allows
 * (`net.core.wmem_max`). Does nothing but on Linux.
 */
export function setSendBuffer(fileDescriptor: number, byteLength: number): void {
  const set = libc<[number, number, number, Uint8Array, number]>('setsockopt', 'int', [
    'int',
    'int',
    'int',
    'void *',
    'uint32_t',
  ]);
  const value = new Uint8Array(Int32Array.of(byteLength).buffer);
  set?.(fileDescriptor, LEVEL_SOCKET, OPTION_SEND_BUFFER, value, value.byteLength);
}

/** Process id and user id of the process at the other end of a Unix socket, as the kernel knows them; null where it does not tell. */
export function peerProcess(fileDescriptor: number): { readonly pid: number; readonly uid: number } | null {
  const get = libc<[number, number, number, Uint8Array, Uint8Array]>('getsockopt', 'int', [
    'int',
    'int',
    'int',
    'void *',
    'void *',
  ]);
  const credentials = new Int32Array(3);
  const length = new Uint8Array(Int32Array.of(credentials.byteLength).buffer);
  const value = new Uint8Array(credentials.buffer);
  if (get === null || get(fileDescriptor, LEVEL_SOCKET, OPTION_PEER, value, length) !== 0) return null;
  const [pid = 0, uid = 0] = credentials;
  // 0 is a process in a namespace that this one does not see.
  return pid > 0 ? { pid, uid } : null;
}

const READ = 1;
const WRITE = 2;
const SHARED = 1;
/** What `mmap` gives in place of an address: all ones. */
const MAP_FAILED = 2 ** 64;

/** Maps a file into memory, to be read and perhaps written, as others write and read it; null if the system refuses. */
export function mapFile(fileDescriptor: number, byteLength: number, mode: 'read' | 'write'): Pointer | null {
  const map = libc<[number, number, number, number, number, number]>('mmap', 'uint64_t', [
    'uint64_t',
    'size_t',
    'int',
    'int',
    'int',
    'int64_t',
  ]);
  if (map === null) return null;
  const address = Number(map(0, byteLength, mode === 'read' ? READ : READ | WRITE, SHARED, fileDescriptor, 0));
  return address === MAP_FAILED ? null : address;
}

export function unmap(pointer: Pointer, byteLength: number): void {
  libc<[number, number]>('munmap', 'int', ['uint64_t', 'size_t'])?.(pointer, byteLength);
}

const CLOSE_ON_EXEC = 1;
const ALLOW_SEALING = 2;

/** A file in memory alone, of no bytes, which ends with the last process that has it open or mapped; null if the system has none to give. */
export function memoryFile(name: string): number | null {
  const create = libc<[string, number]>('memfd_create', 'int', ['str', 'uint32_t']);
  const fileDescriptor = create?.(name, CLOSE_ON_EXEC | ALLOW_SEALING) ?? -1;
  return fileDescriptor >= 0 ? fileDescriptor : null;
}

const ADD_SEALS = 1033;
const GET_SEALS = 1034;
const NO_MORE_SEALS = 1;
const NO_SHRINKING = 2;
const NO_GROWING = 4;
/** Nobody gets to write to it who does not already. */
const NO_NEW_WRITERS = 16;

const fcntl = () => libc<[number, number, number]>('fcntl', 'int', ['int', 'int', 'int']);

/** Fixes a memory file's size for ever, and lets nobody else write to it. False if the kernel (before 5.1) does not know how. */
export function seal(fileDescriptor: number): boolean {
  return fcntl()?.(fileDescriptor, ADD_SEALS, NO_MORE_SEALS | NO_SHRINKING | NO_GROWING | NO_NEW_WRITERS) === 0;
}

/** Whether a memory file can never become shorter, so that what is mapped of it stays readable. */
export function neverShrinks(fileDescriptor: number): boolean {
  const seals = fcntl()?.(fileDescriptor, GET_SEALS, 0) ?? -1;
  return seals >= 0 && (seals & NO_SHRINKING) !== 0;
}

/** Exclusive, and without waiting. */
const LOCK_AT_ONCE = 2 | 4;

/**
 * Takes the lock of an open file, which lasts until that is closed, or this process ends in whatever way. False where another process has it. True
 * where the system knows no such locks.
 */
export function lockFile(fileDescriptor: number): boolean {
  const lock = libc<[number, number]>('flock', 'int', ['int', 'int']);
  return lock === null || lock(fileDescriptor, LOCK_AT_ONCE) === 0;
}
