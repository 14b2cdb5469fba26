// Follows docs/TUTORIAL.md from a fresh clone in an empty folder, and prints how long each part took. Fails if a command does, or if the first answer takes more than 3 minutes.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const FIRST_ANSWER_S = 180;
const ROOT = fileURLToPath(new URL('../', import.meta.url));
const page = readFileSync(join(ROOT, 'docs/TUTORIAL.md'), 'utf8');
const minutes = [...page.matchAll(/^## .*\((\d+) minutes\)$/gm)].reduce((sum, [, each]) => sum + Number(each), 0);

const folder = mkdtempSync(join(tmpdir(), 'shoal-tutorial-'));
const clone = join(folder, 'shoal');
const startedMs = performance.now();
const seconds = () => (performance.now() - startedMs) / 1_000;
const say = (what) => console.log(`${seconds().toFixed(1).padStart(7)} s  ${what}`);

function run(script, cwd, env = {}) {
  const { status } = spawnSync('bash', ['-c', `set -eo pipefail; ${script}`], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error(`failed with exit code ${status}: ${script}`);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return String(port);
}

/** Resolves once the fleet prints its addresses. */
function ready(fleet) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: fleet.stdout });
    lines.on('line', (line) => line.includes('/v1/completions') && resolve());
    fleet.on('exit', (code) => reject(new Error(`npm start ended with exit code ${code} before the fleet was ready`)));
  });
}

let fleet = null;
try {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  run(`git clone --quiet '${ROOT}' '${clone}'`, folder);
  say('cloned');
  run('npm ci --silent', clone);
  say('npm ci');
  fleet = spawn('bash', ['-c', 'exec npm start 2>&1'], {
    cwd: clone,
    env: { ...process.env, SHOAL_PORT: port },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  await ready(fleet);
  say('npm start: the fleet is ready');
  const blocks = [...page.matchAll(/^```sh run\n([\s\S]*?)^```/gm)].map(([, block]) => block);
  const functions = 'shoal() { node dist/cli/main.js "$@"; }';
  let firstAnswer = null;
  for (const [at, block] of blocks.entries()) {
    run(`${functions}\n${block}`, clone, { URL: url });
    firstAnswer ??= seconds();
    say(`block ${at + 1} of ${blocks.length}`);
  }
  console.log(`first answer after ${firstAnswer.toFixed(1)} s (at most ${FIRST_ANSWER_S} s)`);
  console.log(`all commands after ${seconds().toFixed(1)} s; with reading the page takes ${minutes} minutes`);
  if (firstAnswer > FIRST_ANSWER_S || minutes > 60) process.exitCode = 1;
} finally {
  if (fleet !== null && fleet.exitCode === null) {
    // As Ctrl-C does, to the whole group.
    process.kill(-fleet.pid, 'SIGINT');
    await once(fleet, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}
