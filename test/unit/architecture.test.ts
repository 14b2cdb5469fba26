import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The rules of the source tree that no compiler knows: what may import what, and how large a file may be. */

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const FOLDERS = ['src', 'coordinator', 'workers', 'cli', 'bench', 'console'];
const FILE_LINES = 350;
/** Packages that may be imported in more than one file: a checker stands beside each message and each option, and components are everywhere. */
const EVERYWHERE = ['zod', 'preact'];
/** Baselines of benchmarks, which use a package as it is. */
const BASELINES = ['bench/bare-request.ts', 'bench/kv/ioredis-client.ts'];

/** The entries of the package, which only name what others export. */
const ENTRIES = ['src/index.ts', 'src/client.ts'];
/** What `shoal/client` may load beside Node itself. */
const CLIENT_PACKAGES = ['zod', '@bokuweb/zstd-wasm'];

interface Import {
  /** `node:crypto`, the name of a package, or the path of a file in this repository. */
  readonly target: string;
  readonly typeOnly: boolean;
}

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const STATIC = /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const DYNAMIC =
  /(?:\bimport|\brequire|\brequire\.resolve|\bcreateRequire\([^()]*\)|\bimport\.meta\.resolve)\(\s*'([^']+)'/g;

function importsOf(path: string, text: string): Import[] {
  const found = [
    ...[...text.matchAll(STATIC)].map((match) => ({ name: match[2]!, typeOnly: match[1] !== undefined })),
    ...[...text.matchAll(DYNAMIC)].map((match) => ({ name: match[1]!, typeOnly: false })),
  ];
  return found.map(({ name, typeOnly }) => {
    if (name.startsWith('.')) return { target: sourceOf(join(dirname(path), name)), typeOnly };
    if (isBuiltin(name)) return { target: name, typeOnly };
    return { target: name.split('/', name.startsWith('@') ? 2 : 1).join('/'), typeOnly };
  });
}

/** The file that an import of a `.js` file means. */
function sourceOf(target: string): string {
  const component = target.replace(/\.js$/, '.tsx');
  return existsSync(join(ROOT, component)) ? component : target.replace(/\.js$/, '.ts');
}

const sources: readonly Source[] = FOLDERS.flatMap((folder) => {
  const at = join(ROOT, folder);
  const names = existsSync(at) ? readdirSync(at, { recursive: true, encoding: 'utf8' }) : [];
  return names
    .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts'))
    .map((name) => {
      const path = relative(ROOT, join(at, name));
      const text = readFileSync(join(ROOT, path), 'utf8');
      return { path, text, imports: importsOf(path, text) };
    });
});
const inside = (folder: string) => (path: string) => path.startsWith(`${folder}/`);
const isFile = (target: string) => FOLDERS.some((folder) => inside(folder)(target));

/** `file -> target` for each import of these files that is not allowed. */
function strays(files: readonly Source[], allowed: (entry: Import) => boolean): string[] {
  return files.flatMap(({ path, imports }) =>
    imports.filter((entry) => !allowed(entry)).map(({ target }) => `${path} -> ${target}`),
  );
}

describe('the source tree', () => {
  it('is read by this test', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(
      importsOf(
        'src/a/b.ts',
        "import type { A } from '../c.js';\nimport {\n  x,\n} from '@s/p/q';\nexport * from './d.js';\nimport 'e';\nawait import('f');\nconst g = createRequire(import.meta.url)('g');",
      ),
    ).toEqual([
      { target: 'src/c.ts', typeOnly: true },
      { target: '@s/p', typeOnly: false },
      { target: 'src/a/d.ts', typeOnly: false },
      { target: 'e', typeOnly: false },
      { target: 'f', typeOnly: false },
      { target: 'g', typeOnly: false },
    ]);
  });

  it('keeps the core pure: it imports itself, bounds, errors and hashing, and knows no clock, chance or timer', () => {
    const isPure = (path: string) => inside('src/core')(path) || inside('src/runtime/core')(path);
    const core = sources.filter(({ path }) => isPure(path));
    const own = ['src/limits.ts', 'src/errors.ts', 'node:crypto'];
    const allowed = ({ target, typeOnly }: Import) =>
      own.includes(target) || isPure(target) || (typeOnly && inside('src/protocol')(target));
    expect(strays(core, allowed)).toEqual([]);
    const impure =
      /\b(?:Date\.now|new Date|Math\.random|performance\.|process\.|setTimeout|setInterval|setImmediate|queueMicrotask|console\.|randomBytes|randomUUID|fetch\()/;
    expect(core.filter(({ text }) => impure.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it('imports downwards only', () => {
    const below: Record<string, readonly string[]> = {
      src: ['src'],
      coordinator: ['src', 'coordinator'],
      workers: ['src', 'workers'],
      cli: FOLDERS,
      bench: FOLDERS,
      console: ['console', 'src/console'],
    };
    for (const [folder, lower] of Object.entries(below)) {
      const files = sources.filter(({ path }) => inside(folder)(path));
      const climbs = ({ target }: Import) =>
        (isFile(target) || inside('test')(target)) && !lower.some((other) => inside(other)(target));
      expect(strays(files, (entry) => !climbs(entry))).toEqual([]);
    }
  });

  it('keeps the console apart: it takes only the types of messages from the rest', () => {
    const files = sources.filter(({ path }) => inside('console')(path));
    const allowed = ({ target, typeOnly }: Import) => !isFile(target) || inside('console')(target) || typeOnly;
    expect(files.length).toBeGreaterThan(10);
    expect(strays(files, allowed)).toEqual([]);
    const messages = sources.filter(({ path }) => inside('src/console')(path));
    expect(strays(messages, ({ target, typeOnly }) => typeOnly && inside('src/console')(target))).toEqual([]);
  });

  it('imports each package in one file, so that it can be changed in one', () => {
    const places = new Map<string, Set<string>>();
    for (const { path, imports } of sources) {
      if (BASELINES.includes(path)) continue;
      for (const { target } of imports) {
        if (isFile(target) || isBuiltin(target) || EVERYWHERE.includes(target)) continue;
        places.set(target, (places.get(target) ?? new Set()).add(path));
      }
    }
    expect(
      [...places].filter(([, files]) => files.size > 1).map(([name, files]) => `${name}: ${[...files].join(', ')}`),
    ).toEqual([]);
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
      devDependencies: Record<string, string>;
    };
    const used = [...places].filter(([name]) => !name.startsWith('.') && !name.endsWith('package.json'));
    // The console is built: its packages are in its files.
    const isBuilt = (files: ReadonlySet<string>) => [...files].every(inside('console'));
    const missing = used.filter(([name, files]) => !(name in (isBuilt(files) ? devDependencies : dependencies)));
    expect(missing.map(([name]) => name)).toEqual([]);
  });

  it('names a transport only in the composition roots: no other file imports NATS', () => {
    const roots = ['src/index.ts', 'src/runtime/join.ts', 'coordinator/main.ts', 'workers/main.ts'];
    const below = sources.filter(
      ({ path }) =>
        !roots.includes(path) &&
        !inside('src/bus')(path) &&
        ['src', 'coordinator', 'workers'].some((f) => inside(f)(path)),
    );
    expect(strays(below, ({ target }) => !target.startsWith('src/bus/nats-'))).toEqual([]);
  });

  it('keeps the client for K/V light: it loads no native library', () => {
    const loaded = new Set(['src/client.ts']);
    for (const path of loaded) {
      const { imports } = sources.find((source) => source.path === path)!;
      for (const { target, typeOnly } of imports) if (!typeOnly && isFile(target)) loaded.add(target);
    }
    const files = sources.filter(({ path }) => loaded.has(path));
    expect(files.length).toBeGreaterThan(10);
    const allowed = ({ target, typeOnly }: Import) =>
      typeOnly || isFile(target) || isBuiltin(target) || CLIENT_PACKAGES.includes(target);
    expect(strays(files, allowed)).toEqual([]);
  });

  it('gives an exported class or type a name that no other file exports', () => {
    /** Terms of ONNX Runtime and of the peer protocol, each in its own room. */
    const shared = ['Session', 'SessionOptions'];
    const places = new Map<string, Set<string>>();
    for (const { path, text } of sources) {
      for (const [, name] of text.matchAll(/^export (?:abstract )?(?:class|interface|type) (\w+)/gm)) {
        places.set(name!, (places.get(name!) ?? new Set()).add(path));
      }
    }
    const doubled = [...places].filter(([name, files]) => files.size > 1 && !shared.includes(name));
    expect(doubled.map(([name, files]) => `${name}: ${[...files].join(', ')}`)).toEqual([]);
  });

  it('has no circle of imports', () => {
    const graph = new Map(
      sources.map(({ path, imports }) => [
        path,
        imports.filter(({ typeOnly }) => !typeOnly).map(({ target }) => target),
      ]),
    );
    const done = new Set<string>();
    const walk = (path: string, way: readonly string[]): string | null => {
      if (way.includes(path)) return [...way.slice(way.indexOf(path)), path].join(' -> ');
      if (done.has(path)) return null;
      done.add(path);
      for (const next of graph.get(path) ?? []) {
        const circle = walk(next, [...way, path]);
        if (circle !== null) return circle;
      }
      return null;
    };
    expect([...graph.keys()].map((path) => walk(path, [])).filter((circle) => circle !== null)).toEqual([]);
  });

  it('marks private members with `private`, not `#`', () => {
    const hash = /(?:^\s+(?:(?:static|readonly|async|get|set) )*\*?|[\w)\]}?]\.)#[a-z]\w*/m;
    expect(sources.filter(({ text }) => hash.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it('keeps calls to the system below all that makes them, types included', () => {
    const native = sources.filter(({ path }) => inside('src/native')(path));
    const isBelow = (target: string) => inside('src/native')(target) || target === 'src/errors.ts';
    const allowed = ({ target, typeOnly }: Import) =>
      !isFile(target) || isBelow(target) || (typeOnly && inside('src/core')(target));
    expect(native.length).toBeGreaterThan(5);
    expect(strays(native, allowed)).toEqual([]);
  });

  it('keeps options out of the engine, which takes values', () => {
    const engine = sources.filter(({ path }) => inside('src/engine')(path));
    expect(strays(engine, ({ target }) => !inside('src/config')(target))).toEqual([]);
  });

  it(`has files of at most ${FILE_LINES} lines`, () => {
    const lines = ({ text }: Source) => text.trimEnd().split('\n').length;
    expect(
      sources.filter((source) => lines(source) > FILE_LINES).map((source) => `${source.path}: ${lines(source)}`),
    ).toEqual([]);
  });

  it('has one line for each file in docs/ARCHITECTURE.md, and no line for a missing file', () => {
    const page = readFileSync(join(ROOT, 'docs/ARCHITECTURE.md'), 'utf8');
    const listed = page.split(/^### /m).flatMap((section) => {
      const folder = /^`([\w/-]+\/)`\n/.exec(section)?.[1];
      if (folder === undefined) return [];
      return [...section.matchAll(/^- `([\w.-]+\.tsx?)` – \S/gm)].map((match) => `${folder}${match[1]}`);
    });
    expect(listed.toSorted()).toEqual(sources.map(({ path }) => path).toSorted());
    const mentioned = [...page.matchAll(/`((?:src|coordinator|workers|cli|bench|console|test|docs)\/[\w./-]*)`/g)];
    const there = (path: string) => existsSync(join(ROOT, path)) || existsSync(join(ROOT, `${path}.ts`));
    expect(mentioned.map((match) => match[1]!).filter((path) => !there(path))).toEqual([]);
  });

  it('names files by what they hold, and has no barrels', () => {
    expect(
      sources.filter(({ path }) => /(?:utils?|helpers?|manager|service)\.ts$/.test(path)).map(({ path }) => path),
    ).toEqual([]);
    const barrel = ({ path, text }: Source) =>
      !ENTRIES.includes(path) &&
      (path.endsWith('/index.ts') ||
        text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|export\s[^;]*?\sfrom\s+'[^']+';/g, '').trim() === '');
    expect(sources.filter(barrel).map(({ path }) => path)).toEqual([]);
  });
});
