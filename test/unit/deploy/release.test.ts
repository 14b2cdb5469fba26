import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BUNDLED = ['preact', 'uplot', 'd3-shape', 'd3-path'];

interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, string>>;
}

interface Job {
  readonly needs?: string | readonly string[];
  readonly environment?: string;
  readonly steps: readonly Step[];
}

const { jobs } = parse(readFileSync(`${ROOT}.github/workflows/release.yml`, 'utf8')) as {
  jobs: Readonly<Record<string, Job>>;
};

describe('a release', () => {
  it('gives the image its tag after it was scanned and approved, in the job that publishes the package', () => {
    const { image, package: published } = jobs as { image: Job; package: Job };
    const build = image.steps.find(({ id }) => id === 'build')!;
    expect(build.with).not.toHaveProperty('tags');
    expect(build.with!.outputs).toContain('push-by-digest=true');
    expect(image.steps.at(-1)!.with).toMatchObject({ 'exit-code': '1' });
    expect([published.environment, published.needs]).toEqual(['npm', expect.arrayContaining(['image'])]);
    expect(published.steps.filter(({ run }) => run?.includes('imagetools create --tag'))).toHaveLength(1);
  });

  it('publishes a package that names the repository of the workflow, as its provenance does', () => {
    const runs = jobs.package!.steps.map(({ run = '' }) => run);
    const named = runs.findIndex((run) => /^npm pkg set .*repository.url=.*\$GITHUB_REPOSITORY/.test(run));
    expect(named).toBeGreaterThan(-1);
    expect(runs.indexOf('npm publish --access public')).toBeGreaterThan(named);
  });

  it('lists the packages that are built into the console, too, and none that only develop', () => {
    const run = (script: string) => execFileSync(process.execPath, [`${ROOT}.ci/${script}`], { encoding: 'utf8' });
    const licensed = run('licences.mjs').split('\n');
    const { components } = JSON.parse(run('sbom.mjs')) as {
      components: { group?: string; name: string; version: string }[];
    };
    const listed = components.map(
      ({ group, name, version }) => `${group === undefined ? '' : `${group}/`}${name}@${version}`,
    );
    for (const names of [licensed, listed]) {
      for (const name of [...BUNDLED, 'fastify', '@nats-io/kv'])
        expect(
          names.filter((line) => line.startsWith(`${name}@`)),
          name,
        ).toHaveLength(1);
      expect(names.filter((line) => /^(?:vitest|vite|typescript)@/.test(line))).toEqual([]);
    }
    expect(new Set(listed)).toEqual(new Set(licensed.filter((line) => line !== '').map((line) => line.split('\t')[0])));
  });
});
