// The packages of the lock file that users get: those for production, and those whose code is built into the console, although a build alone needs them.
import { readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../', import.meta.url);
/** Built into dist/console. Its build itself is configured there, too. */
const CONSOLE = new URL('console/', ROOT);
const BUILD = new Set(['vite.config.ts']);

/** Paths in the lock file, with their entries. */
export function shippedPackages() {
  const { packages } = JSON.parse(readFileSync(new URL('package-lock.json', ROOT), 'utf8'));
  const bundled = new Set();
  for (const name of importedByConsole()) addWithDependencies(name, '', packages, bundled);
  return Object.entries(packages).filter(
    ([path, { dev, link }]) => path !== '' && !link && (!dev || bundled.has(path)),
  );
}

function importedByConsole() {
  const files = readdirSync(CONSOLE, { recursive: true }).filter((path) => /\.tsx?$/.test(path) && !BUILD.has(path));
  const imports = files.flatMap((path) => [
    ...readFileSync(new URL(path, CONSOLE), 'utf8').matchAll(
      /^(?:import|export) (?!type )(?:[^;']* from )?'([^.'][^']*)'/gm,
    ),
  ]);
  const names = imports.map(([, from]) => from.split('/', from.startsWith('@') ? 2 : 1).join('/'));
  return new Set(names.filter((name) => !name.startsWith('node:')));
}

function addWithDependencies(name, from, packages, found) {
  // As Node looks for it: in the folder of the package that imports it, then in those above.
  const nested = `${from}${from === '' ? '' : '/'}node_modules/${name}`;
  const path = nested in packages ? nested : `node_modules/${name}`;
  const entry = packages[path];
  if (entry === undefined || found.has(path)) return;
  found.add(path);
  for (const next of Object.keys(entry.dependencies ?? {})) addWithDependencies(next, path, packages, found);
}

export function nameOf(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
}
