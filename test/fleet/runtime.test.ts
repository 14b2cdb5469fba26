import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { fleetUsers } from '../../cli/nats/users.js';
import { connect } from '../../src/index.js';
import { CLI } from './support/fleet.js';

/** The runtime in processes of their own, on a NATS server whose users have the rights of their role. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ran = promisify(execFile);
const DETACHED = 50;
let dir: string;
let server: EmbeddedServer;
let variables: Record<string, string>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-runtime-'));
  await mkdir(join(dir, 'node_modules'));
  await symlink(ROOT, join(dir, 'node_modules', 'shoal'));
  await writeFile(join(dir, 'package.json'), '{"type":"module"}');
  const guide = await readFile(join(ROOT, 'docs/ACTORS.md'), 'utf8');
  for (const file of ['counter.js', 'app.js']) {
    const code = new RegExp(`\`${file}\`:\\n\\n\`\`\`js\\n([\\s\\S]*?)\`\`\``).exec(guide)![1]!;
    await writeFile(join(dir, file), code);
  }
  const { node } = fleetUsers('shoal');
  server = await startNatsServer({ path: (await findNatsServer()).path, dir, users: [node] });
  const { url, user, password } = server;
  variables = {
    SHOAL_NATS: url,
    SHOAL_NATS_USER: user,
    SHOAL_NATS_PASSWORD: password,
    SHOAL_SECRET: 'sixteen characters',
  };
});

afterAll(async () => {
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

it('runs the first example of the guide as the guide says', async () => {
  const { stdout } = await ran(process.execPath, [CLI, 'run', 'app.js', '--actors', './counter.js'], { cwd: dir });
  expect(stdout.split('\n')).toEqual(['15', '1', '2', '3', '49', '']);
});

/** A node that hosts. */
async function startNode(id: string) {
  const args = [
    CLI,
    'node',
    '--actors',
    join(dir, 'counter.js'),
    '--node-id',
    id,
    '--peer-socket',
    join(dir, `${id}.sock`),
  ];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for await (const line of createInterface({ input: child.stderr })) if (line.includes('"hosting"')) break;
  child.stderr.resume();
  return child;
}

it('brings the detached actors of a node that was killed to another one', async () => {
  const [a, b] = await Promise.all([startNode('a'), startNode('b')]);
  const { url, user, password } = server;
  const fleet = await connect(url, { user, password, secret: variables.SHOAL_SECRET! });
  try {
    interface Counter {
      add(amount: number): number;
    }
    const names = Array.from({ length: DETACHED }, (_, i) => `counter-${i}`);
    // Calls that are on their way when the node is killed may be repeated.
    const options = { lifetime: 'detached', near: { node: 'a' }, maxTaskRetries: 1 } as const;
    const counters = await Promise.all(
      names.map((name, i) => fleet.actor<Counter>('Counter', { ...options, name, args: [i] })),
    );
    a.kill('SIGKILL');
    expect(await Promise.all(counters.map((counter) => counter.add(1)))).toEqual(names.map((_, i) => i + 1));
    const { stdout } = await ran(process.execPath, [CLI, 'list', 'actors', '--json'], {
      env: { ...process.env, ...variables },
    });
    const listed = JSON.parse(stdout) as { name: string; node: string }[];
    expect(listed.map(({ name }) => name).sort()).toEqual([...names].sort());
    expect(new Set(listed.map(({ node }) => node))).toEqual(new Set(['b']));
  } finally {
    await fleet.close();
    b.kill('SIGTERM');
    const [code] = await once(b, 'exit');
    expect(code).toBe(0);
  }
});
