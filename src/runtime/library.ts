import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Clock, SystemClock } from '../clock.js';
import { InvalidRequest } from '../errors.js';
import { ACTOR_NAME_CHARS } from '../limits.js';
import type { HostedExport } from './core/node-view.js';
import { BoundedQueue, QUEUE_CODE } from './host/bounded-queue.js';
import { NODE_EXPORTS, STREAM_METHODS } from './messages.js';

/** The classes and functions that a process has loaded from the user's modules, by name and version. */

export type UserFunction = (...args: never[]) => unknown;
export type UserClass = new (...args: never[]) => object;

/** The text of a class, and not of a function whose first parameter has a name that begins so. */
const CLASS = /^class[\s{/]/;
/** Time after which a module that is still being loaded is worth a word. */
const SLOW_LOAD_MS = 10_000;
/** Hexadecimal digits of a digest that name a version. */
const VERSION_DIGITS = 12;

interface LoadWatch {
  readonly clock: Clock;
  /** Called once for a module that takes long: a top-level `await` in it may never end. */
  readonly onSlow: (file: string) => void;
}

const UNWATCHED: LoadWatch = { clock: new SystemClock(), onSlow: () => undefined };

interface Entry {
  readonly hosted: HostedExport;
  readonly value: UserClass | UserFunction;
}

export class Library {
  private readonly entries = new Map<string, Entry>();
  private readonly builtIn: ReadonlyMap<string, Entry> = new Map([
    [QUEUE_CODE, builtInClass(QUEUE_CODE, BoundedQueue)],
  ]);
  /** All exports of the modules, for classes of errors among them. */
  readonly exported: unknown[] = [];

  /**
   * Loads modules, which run in this process with all its rights. The version of their exports is a digest of the module's file.
   * @throws InvalidRequest if a file cannot be read or loaded, exports nothing to host, or repeats a name of another file
   */
  static async load(files: readonly string[], { clock, onSlow }: LoadWatch = UNWATCHED): Promise<Library> {
    const library = new Library();
    for (const file of files.map((given) => resolve(given))) {
      const slow = clock.after(SLOW_LOAD_MS, () => onSlow(file));
      await library.add(file).finally(() => slow.cancel());
    }
    return library;
  }

  /** The exports of the modules. */
  get exports(): HostedExport[] {
    return [...this.entries.values()].map(({ hosted }) => hosted);
  }

  /** Everything that can be requested: the modules' exports and shoal's own classes. */
  get offered(): HostedExport[] {
    return [...this.exports, ...[...this.builtIn.values()].map(({ hosted }) => hosted)];
  }

  /** @throws InvalidRequest if this process does not have the class in this version */
  classOf(name: string, version: string): UserClass {
    return this.find('class', name, version) as UserClass;
  }

  /** What it has under a name. */
  hosted(name: string): HostedExport | undefined {
    return this.entryOf(name)?.hosted;
  }

  /** The methods of a class that return streams. */
  streamsOf(name: string): readonly string[] {
    return this.hosted(name)?.streams ?? [];
  }

  /** Throws like `classOf`. */
  functionOf(name: string, version: string): UserFunction {
    return this.find('function', name, version) as UserFunction;
  }

  private find(kind: HostedExport['kind'], name: string, version: string): Entry['value'] {
    const entry = this.entryOf(name);
    if (entry?.hosted.kind === kind && entry.hosted.version === version) return entry.value;
    throw new InvalidRequest(`cannot use the ${kind} ${name}@${version}: this node does not host it`);
  }

  private entryOf(name: string): Entry | undefined {
    return this.builtIn.get(name) ?? this.entries.get(name);
  }

  private async add(file: string): Promise<void> {
    const bytes = await readFile(file).catch((cause: Error) => {
      throw new InvalidRequest(`--actors: cannot read ${file}: ${cause.message}`, 'actors');
    });
    const version = digestOf(bytes);
    const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(file).href).catch((cause: Error) => {
      throw new InvalidRequest(`--actors: cannot load ${file}: ${cause.stack ?? cause.message}`, 'actors');
    });
    const found = namesOf(module).flatMap(([name, value]) => hostedExport(name, value, version) ?? []);
    if (found.length === 0) {
      throw new InvalidRequest(`--actors: ${file} exports no class and no function; export those to host`, 'actors');
    }
    for (const entry of found) this.insert(file, entry);
    this.exported.push(...Object.values(module));
  }

  private insert(file: string, { hosted, value }: Entry): void {
    if (this.entries.has(hosted.name)) {
      throw new InvalidRequest(`--actors: ${file} exports ${hosted.name}, which another file exports too`, 'actors');
    }
    if (this.entries.size >= NODE_EXPORTS) {
      throw new InvalidRequest(`--actors: the files export more than ${NODE_EXPORTS} classes and functions`, 'actors');
    }
    if (hosted.streams.length > STREAM_METHODS) {
      const has = `has ${hosted.streams.length} methods that are generators`;
      throw new InvalidRequest(
        `--actors: ${hosted.name} in ${file} ${has}; at most ${STREAM_METHODS} are allowed`,
        'actors',
      );
    }
    this.entries.set(hosted.name, { hosted, value });
  }
}

/** A class of shoal's own. Its version is a digest of its text. */
function builtInClass(name: string, value: UserClass): Entry {
  const code = describeCode(value);
  return { hosted: { name, version: code.source, ...code }, value };
}

/**
 * What a module exports, by each name under which it can be asked for: that of the export, and that of the class or function itself, which is all that a
 * program that imported it knows. Of a default export, only the latter.
 */
function namesOf(module: Readonly<Record<string, unknown>>): [string, unknown][] {
  const named = new Map<string, unknown>();
  const own = (value: unknown, preset: string) => {
    const name: unknown = typeof value === 'function' ? value.name : '';
    return typeof name === 'string' && name !== '' ? name : preset;
  };
  for (const [name, value] of Object.entries(module)) if (name !== 'default') named.set(name, value);
  for (const [name, value] of Object.entries(module)) {
    const ownName = own(value, name);
    if (!named.has(ownName)) named.set(ownName, value);
  }
  return [...named];
}

/** The description of a class or function for the fleet; null for anything else, and for error classes. */
function hostedExport(name: string, value: unknown, version: string): Entry | null {
  if (typeof value !== 'function' || name.length > ACTOR_NAME_CHARS || value.prototype instanceof Error) return null;
  const code = value as UserFunction | UserClass;
  return { hosted: { name, version, ...describeCode(code) }, value: code };
}

/** The kind of a class or function, the digest of its text, and what of it returns streams. */
export function describeCode(value: UserFunction | UserClass): Pick<HostedExport, 'kind' | 'source' | 'streams'> {
  const text = Function.prototype.toString.call(value);
  const source = digestOf(text);
  if (CLASS.test(text)) return { kind: 'class', source, streams: streamMethods(value.prototype as object) };
  return { kind: 'function', source, streams: isGenerator(value) ? [value.name] : [] };
}

/** The methods of a class, own and inherited, that are generators. */
function streamMethods(prototype: object): string[] {
  const names = new Set<string>();
  for (let at = prototype; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (isGenerator(value)) names.add(name);
    }
  }
  return [...names];
}

function isGenerator(value: unknown): boolean {
  if (typeof value !== 'function') return false;
  const tag: unknown = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return tag === 'AsyncGeneratorFunction' || tag === 'GeneratorFunction';
}

function digestOf(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex').slice(0, VERSION_DIGITS);
}
