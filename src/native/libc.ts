import { callAsync, type NativeFunction, NULL, type Pointer, programFunction } from './ffi.js';

/** Calls of the C library and of Linux that Node does not offer: memory files, mappings, locks, socket options. */

type Func<A extends readonly unknown[], R = number> = NativeFunction<A, R>;

const functions = new Map<string, unknown>();

/** A function of the C library; null if it has none of that name, and on systems other than Linux, where constants differ. */
function libc<A extends readonly unknown[]>(name: string, result: string, parameters: string[]): Func<A> | null {
  if (process.platform !== 'linux') return null;
  if (!functions.has(name)) functions.set(name, programFunction(name, result, parameters));
  return functions.get(name) as Func<A> | null;
}

const PAGE_BYTES = 4096;
const ADVICE_DROP_PAGES = 4;
const ADVICE_HUGE_PAGES = 14;
/** Kernels before 5.14 fail with EINVAL, which is ignored. */
const ADVICE_POPULATE_WRITE = 23;
/** Kernels before 6.1 fail with EINVAL. */
const ADVICE_COLLAPSE = 25;

const madvise = () => libc<[number, number, number]>('madvise', 'int', ['uint64_t', 'size_t', 'int']);

/**
 * Backs a reserved range with physical memory, in huge pages where possible, on a thread of the pool. Without it the first write to each
 * 4 KiB page costs a page fault, which is slower than the copy itself. Contents are kept. Does nothing where the system has no such call.
 */
export async function commitMemory(pointer: Pointer, byteLength: number): Promise<void> {
  const advise = madvise();
  const from = Math.ceil(pointer / PAGE_BYTES) * PAGE_BYTES;
  const bytes = Math.floor((pointer + byteLength - from) / PAGE_BYTES) * PAGE_BYTES;
  if (advise === null || bytes <= 0) return;
  advise(from, bytes, ADVICE_HUGE_PAGES);
  await callAsync(advise, from, bytes, ADVICE_POPULATE_WRITE);
}

/** How many pages of a range, which begins at a page, are in physical memory. 0 where the system does not say. */
export function residentPages(pointer: Pointer, byteLength: number): number {
  const query = libc<[number, number, Uint8Array]>('mincore', 'int', ['uint64_t', 'size_t', 'void *']);
  const pages = new Uint8Array(Math.ceil(byteLength / PAGE_BYTES));
  if (query?.(pointer, byteLength, pages) !== 0) return 0;
  return pages.reduce((sum, page) => sum + (page & 1), 0);
}

/** Moves whole huge pages of memory into huge pages, on a thread of the pool. False if the system did not. */
export async function collapsePages(pointer: Pointer, byteLength: number): Promise<boolean> {
  const advise = madvise();
  return advise !== null && (await callAsync(advise, pointer, byteLength, ADVICE_COLLAPSE)) === 0;
}

/** Unmaps the pages of a mapped file that this process has touched. The file keeps them; they no longer count as this process's memory. */
export function dropPages(pointer: Pointer, byteLength: number): void {
  madvise()?.(pointer, byteLength, ADVICE_DROP_PAGES);
}

/**
 * Makes the C library return freed memory to the system. Otherwise glibc keeps the temporary memory of loading a model, which is as large
 * as the model. Does nothing with a C library that has no `malloc_trim`.
 */
export async function trimFreedMemory(): Promise<void> {
  const trim = libc<[number]>('malloc_trim', 'int', ['size_t']);
  if (trim !== null) await callAsync(trim, 0);
}

const LEVEL_SOCKET = 1;
const OPTION_SEND_BUFFER = 7;
const OPTION_PEER = 17;

/** Sets a socket's send buffer (`SO_SNDBUF`), capped by `net.core.wmem_max`. Does nothing on systems other than Linux. */
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

/** Process id and user id of the peer of a Unix socket, as the kernel reports them; null if it does not. */
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
  // The kernel reports 0 for a process in a PID namespace that this one cannot see.
  return pid > 0 ? { pid, uid } : null;
}

const READ = 1;
const WRITE = 2;
const SHARED = 1;
const PRIVATE = 2;
const FIXED = 16;
/** `mmap` returns -1, all ones, for failure. */
const MAP_FAILED = 2 ** 64;

/** Maps a file into memory, shared with other processes that map it; null if the system refuses. */
export function mapFile(fileDescriptor: number, byteLength: number, mode: 'read' | 'write'): Pointer | null {
  return mapped(fileDescriptor, byteLength, mode === 'read' ? READ : READ | WRITE, SHARED);
}

/**
 * Maps a file in place of the memory at an address. Pages are those of the file until this process writes to them, which gives it copies. False if the
 * system refuses.
 */
export function mapOver(pointer: Pointer, fileDescriptor: number, byteLength: number): boolean {
  return mapped(fileDescriptor, byteLength, READ | WRITE, PRIVATE | FIXED, pointer) === pointer;
}

function mapped(
  fileDescriptor: number,
  byteLength: number,
  protection: number,
  kind: number,
  at: Pointer = NULL,
): Pointer | null {
  const map = libc<[number, number, number, number, number, number]>('mmap', 'uint64_t', [
    'uint64_t',
    'size_t',
    'int',
    'int',
    'int',
    'int64_t',
  ]);
  if (map === null) return null;
  const address = Number(map(at, byteLength, protection, kind, fileDescriptor, 0));
  return address === MAP_FAILED ? null : address;
}

export function unmap(pointer: Pointer, byteLength: number): void {
  libc<[number, number]>('munmap', 'int', ['uint64_t', 'size_t'])?.(pointer, byteLength);
}

const CLOSE_ON_EXEC = 1;
const ALLOW_SEALING = 2;

/** Creates an empty in-memory file (`memfd`), which exists until no process has it open or mapped; null if the system refuses. */
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
const NO_WRITING = 8;
/** Existing writable mappings keep working; new ones and `write` fail. */
const NO_NEW_WRITERS = 16;

const fcntl = () => libc<[number, number, number]>('fcntl', 'int', ['int', 'int', 'int']);

/** Fixes a memory file's size permanently and forbids new writers. False if the kernel (before 5.1) cannot. */
export function seal(fileDescriptor: number): boolean {
  return fcntl()?.(fileDescriptor, ADD_SEALS, NO_MORE_SEALS | NO_SHRINKING | NO_GROWING | NO_NEW_WRITERS) === 0;
}

/** Fixes a memory file's size and bytes permanently. False if the kernel cannot. */
export function sealWhole(fileDescriptor: number): boolean {
  return fcntl()?.(fileDescriptor, ADD_SEALS, NO_MORE_SEALS | NO_SHRINKING | NO_GROWING | NO_WRITING) === 0;
}

/** Whether a memory file is sealed against shrinking, so that its mappings stay readable. */
export function neverShrinks(fileDescriptor: number): boolean {
  return isSealed(fileDescriptor, NO_SHRINKING);
}

/** Whether neither the size nor a byte of a memory file can change. */
export function isImmutable(fileDescriptor: number): boolean {
  return isSealed(fileDescriptor, NO_SHRINKING | NO_WRITING);
}

function isSealed(fileDescriptor: number, wanted: number): boolean {
  const seals = fcntl()?.(fileDescriptor, GET_SEALS, 0) ?? -1;
  return seals >= 0 && (seals & wanted) === wanted;
}

/**
 * Ends the process at once, without waiting for its threads: `process.exit` waits for a thread that hangs in a system call, for as long as that
 * takes. Returns where the system has no such call.
 */
export function exitAtOnce(code: number): void {
  libc<[number]>('_exit', 'void', ['int'])?.(code);
}

/**
 * Sets a variable where native libraries read it. From the main thread an assignment to `process.env` does the same; in a worker thread it
 * changes a copy only. Does nothing on systems other than Linux.
 */
export function setEnvironmentVariable(name: string, value: string): void {
  libc<[string, string, number]>('setenv', 'int', ['str', 'str', 'int'])?.(name, value, 1);
}

/** `LOCK_EX | LOCK_NB` */
const LOCK_EXCLUSIVE_NO_WAIT = 2 | 4;

/**
 * Acquires the exclusive lock of an open file, which lasts until the file is closed or this process ends. False if another process holds
 * it. True where the system has no such locks.
 */
export function lockFile(fileDescriptor: number): boolean {
  const lock = libc<[number, number]>('flock', 'int', ['int', 'int']);
  return lock === null || lock(fileDescriptor, LOCK_EXCLUSIVE_NO_WAIT) === 0;
}
