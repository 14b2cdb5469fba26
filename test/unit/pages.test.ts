import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const pages = ['README.md', ...readdirSync(`${ROOT}docs`).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
);
/** A path in backquotes, from the root of the repository; source files may omit `.ts`. */
const PATH = /`((?:src|coordinator|workers|cli|test|bench|deploy|console)\/[\w./-]*)`/g;

describe('the pages', () => {
  it.each(['README.md', 'docs/PRIVACY.md', 'docs/SECURITY.md'])(
    '%s names the hosts from which nats-server is fetched',
    (page) => {
      const sources = readdirSync(`${ROOT}cli/nats`).map((name) => readFileSync(`${ROOT}cli/nats/${name}`, 'utf8'));
      const hosts = sources.flatMap((text) => [...text.matchAll(/'https:\/\/([^/']+)/g)].map((match) => match[1]!));
      expect(hosts.length).toBeGreaterThan(0);
      for (const host of hosts) expect(readFileSync(ROOT + page, 'utf8')).toContain(host);
    },
  );

  it('say how the package is installed where only the registry can be reached, as its test does', () => {
    const test = readFileSync(`${ROOT}test/fleet/packed.test.ts`, 'utf8');
    const [variable] = /npm_config_onnxruntime_node_install/.exec(test)!;
    expect(readFileSync(`${ROOT}docs/DEPLOY.md`, 'utf8')).toContain(`${variable}=skip npm install`);
  });

  it.each(pages)('%s names only files and folders that exist', (page) => {
    const text = readFileSync(ROOT + page, 'utf8');
    const named = [...text.matchAll(PATH)].map(([, path]) => path!);
    expect(named.filter((path) => !existsSync(ROOT + path) && !existsSync(`${ROOT}${path}.ts`))).toEqual([]);
  });
});
