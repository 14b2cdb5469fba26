import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../../../', import.meta.url));
const SCRIPTS = 'test/unit/cli/process/support/scripts';

/** Compiles the scripts of this folder from the current source, to run them as real processes. */
export interface Compiled {
  script(name: string): string;
  remove(): void;
}

export function compileScripts(): Compiled {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-scripts-'));
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      noCheck: true,
      outDir: dir,
      rootDir: ROOT,
      typeRoots: [join(ROOT, 'node_modules/@types')],
    },
    include: [join(ROOT, SCRIPTS)],
  };
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', dir], { stdio: 'pipe' });
  return {
    script: (name) => join(dir, SCRIPTS, `${name}.js`),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
