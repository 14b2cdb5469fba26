import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { fleetUsers } from '../../cli/nats/users.js';
import { fleetBuckets } from '../../src/fleet/buckets.js';
import { connect } from '../../src/index.js';
import { CLI } from './support/fleet.js';

/** The runtime in processes of their own, on a NATS server whose users have the rights of their role. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ran = promisify(execFile);
const DETACHED = 50;
/** Longer than the silence of nodes and of calls that is not explained. */
const BUSY_MS = 7_000;
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
  const { node, coordinator } = fleetUsers('shoal');
  server = await startNatsServer({ path: (await findNatsServer()).path, dir, users: [node, coordinator] });
  const { url, user, password } = server;
  const creator = { SHOAL_NATS: url, SHOAL_NATS_USER: coordinator.user, SHOAL_NATS_PASSWORD: coordinator.password };
  const { stdout } = await ran(process.execPath, [CLI, 'nats-buckets'], { env: { ...process.env, ...creator } });
  expect(stdout.split('\n')).toEqual([...fleetBuckets('shoal').map(({ name }) => name), '']);
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

it('ends a program with the command that runs it, in whatever way that ends', async () => {
  await writeFile(join(dir, 'waits.js'), 'console.log(process.pid); setInterval(() => {}, 1_000);');
  const env = { ...process.env, ...variables };
  const command = spawn(process.execPath, [CLI, 'run', 'waits.js'], {
    cwd: dir,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [pid] = (await once(createInterface({ input: command.stdout }), 'line')) as [string];
  command.kill('SIGKILL');
  while (isAlive(Number(pid))) await pause(50);
});

it('waits for a node whose code keeps its event loop busy', async () => {
  await writeFile(
    join(dir, 'busy.js'),
    `export function burn(ms) { const untilMs = Date.now() + ms; while (Date.now() < untilMs); return ms; }
     export class Keeper { count = 0; add() { return ++this.count; } }`,
  );
  await writeFile(
    join(dir, 'burns.js'),
    `import { connect } from 'shoal';
     import { burn, Keeper } from './busy.js';
     const fleet = await connect();
     const keeper = await fleet.actor(Keeper);
     console.log(await keeper.add(), await fleet.task(burn)(${BUSY_MS}), await keeper.add());
     await fleet.close();`,
  );
  const { stdout } = await ran(process.execPath, [CLI, 'run', 'burns.js', '--actors', './busy.js'], { cwd: dir });
  expect(stdout).toBe(`1 ${BUSY_MS} 2\n`);
});

it('keeps a detached actor that computes where it is, and its answer', async () => {
  await writeFile(
    join(dir, 'computes.js'),
    `export class Computer { count = 0; run(ms) { const untilMs = Date.now() + ms; while (Date.now() < untilMs); return ++this.count; } }`,
  );
  const nodes = [await startNode('computes', 'computes.js'), await startNode('waits', 'computes.js')];
  const { url, user, password } = server;
  const fleet = await connect(url, { user, password, secret: variables.SHOAL_SECRET! });
  try {
    const name = 'computer';
    const at = { lifetime: 'detached', near: { node: 'computes' } } as const;
    const computer = await fleet.actor<{ run(ms: number): number }>('Computer', { ...at, name });
    expect(await computer.run(0)).toBe(1);
    expect(await computer.run(BUSY_MS)).toBe(2);
    expect(await computer.run(0)).toBe(3);
    expect(await fleet.listActors()).toMatchObject([{ name, node: 'computes', restarts: 0 }]);
    await computer.$kill();
  } finally {
    await fleet.close();
    for (const node of nodes) await ended(node);
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A node that hosts. */
async function startNode(id: string, file = 'counter.js') {
  const args = [CLI, 'node', '--actors', join(dir, file), '--node-id', id, '--peer-socket', join(dir, `${id}.sock`)];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for await (const line of createInterface({ input: child.stderr })) if (line.includes('"hosting"')) break;
  child.stderr.resume();
  return child;
}

/** Ends a node in good order. */
async function ended(node: ChildProcess): Promise<void> {
  node.kill('SIGTERM');
  const [code] = await once(node, 'exit');
  expect(code).toBe(0);
}

const rejected = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'fulfilled',
    ({ message }: Error) => message,
  );

/** What the other examples of the guide print, in their order. */
const PRINTED = ['10', '20', '30', 'https://example.org', '3 1'];

it('runs all other examples of the guide', async () => {
  const guide = await readFile(join(ROOT, 'docs/ACTORS.md'), 'utf8');
  const blocks = [...guide.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!).slice(2);
  const isHosted = (code: string) => code.startsWith('export class');
  const names = ['Embedder', 'Ledger', 'Account'];
  expect(blocks.filter(isHosted)).toHaveLength(names.length);
  const hosted = [
    `import { z } from ${JSON.stringify(import.meta.resolve('zod'))};`,
    "import { batched } from 'shoal';",
    'export const square = (value) => value * value;',
    'export function total(numbers) { return numbers.reduce((sum, number) => sum + number, 0); }',
    'export function range(count) { return Float64Array.from({ length: count }, (_, i) => i); }',
    await readFile(join(dir, 'counter.js'), 'utf8').then((code) =>
      code.replace(/export function square[\s\S]*?\n}\n/, ''),
    ),
    ...blocks.filter(isHosted),
  ];
  await writeFile(join(dir, 'hosted.js'), hosted.join('\n'));
  const program = [
    "import { ActorPool, AffinityPool, connect, serveActor } from 'shoal';",
    "import { Account, Counter, Embedder, Ledger, range, square, total } from './hosted.js';",
    'const fleet = await connect();',
    ...blocks.filter((code) => !isHosted(code)).map((code) => `{\n${code}}`),
    "const ledger = await fleet.actor(Ledger, { checkpointEvery: 1, name: 'ledger', lifetime: 'detached' });",
    'await ledger.add(1);',
    "const account = await fleet.actor(Account, { args: ['mine'] });",
    'await account.$kill();',
    'await ledger.$kill();',
    'await fleet.close();',
  ];
  await writeFile(join(dir, 'guide.js'), program.join('\n'));
  const nodes = await Promise.all(['e', 'f'].map((id) => startNode(id, 'hosted.js')));
  try {
    const env = { ...process.env, ...variables };
    const { stdout } = await ran(process.execPath, [CLI, 'run', 'guide.js'], { cwd: dir, env });
    expect(stdout.trim().split('\n').sort()).toEqual([...PRINTED].sort());
  } finally {
    await Promise.all(nodes.map((node) => ended(node)));
  }
});

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
    const again = await Promise.all(
      names.map((name) => rejected(fleet.actor<Counter>('Counter', { ...options, name }))),
    );
    expect(again).toEqual(names.map((name) => `name: ${name} is taken in the namespace default; use getIfExists`));
    expect(await Promise.all(counters.map((counter) => counter.add(1)))).toEqual(names.map((_, i) => i + 1));
    const { stdout } = await ran(process.execPath, [CLI, 'list', 'actors', '--json'], {
      env: { ...process.env, ...variables },
    });
    const listed = JSON.parse(stdout) as { name: string; node: string }[];
    expect(listed.map(({ name }) => name).sort()).toEqual([...names].sort());
    expect(new Set(listed.map(({ node }) => node))).toEqual(new Set(['b']));
  } finally {
    await fleet.close();
    await ended(b);
  }
});
