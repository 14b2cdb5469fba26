import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { UpFleet } from '../../bench/fleet/up-fleet.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const npm = promisify(execFile);
/** As in the `.npmrc` of the repository: without the CUDA files of ONNX Runtime, which are not on the registry. */
const ENV = { ...process.env, npm_config_onnxruntime_node_install: 'skip', npm_config_update_notifier: 'false' };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('the packed package, installed into an empty folder, serves', { timeout: 600_000 }, async () => {
  await npm('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT, env: ENV });
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
  await npm('npm', ['init', '--yes'], { cwd: folder, env: ENV });
  await npm('npm', ['install', ...quiet, `./${archive}`], { cwd: folder, env: ENV });
  const { stdout } = await npm('npx', ['shoal', 'version'], { cwd: folder, env: ENV });
  expect(stdout.trim()).toMatch(/^\d+\.\d+\.\d+/);
  const imported = `const { KVClient } = await import('shoal/client'); console.log(typeof KVClient);`;
  const client = await npm('node', ['--input-type=module', '--eval', imported], { cwd: folder });
  expect(client.stdout.trim()).toBe('function');
  const fleet = await UpFleet.start(join(folder, 'node_modules/shoal/dist/cli/main.js'), ['--workers', '1']);
  try {
    const answer = await fleet.complete({ prompt: 'The harbor', max_tokens: 2 });
    expect(answer.usage.completion_tokens).toBe(2);
  } finally {
    await fleet.stop();
  }
});
