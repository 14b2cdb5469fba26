import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'shoal';
import { Ledger, square } from './code.js';

// Starts nodes, and kills one after the other while they work. Nothing may be lost, and nothing counted twice.
// shoal run examples/chaos/app.js --actors examples/chaos/code.js

const KILLS = Number(process.argv[2] ?? 2);
const TASKS = 200;
const dir = await mkdtemp(join(tmpdir(), 'shoal-chaos-'));
const cli = join(dirname(fileURLToPath(import.meta.resolve('shoal/package.json'))), 'dist/cli/main.js');
const code = fileURLToPath(new URL('./code.js', import.meta.url));
const fleet = await connect();
const nodes = new Map();

async function startNode(id) {
  const args = ['node', '--actors', code, '--node-id', id, '--peer-socket', join(dir, `${id}.sock`)];
  const child = spawn(process.execPath, [cli, ...args], { stdio: 'ignore' });
  nodes.set(id, child);
  while (!fleet.nodes().some((node) => node.id === id)) await new Promise((resolve) => setTimeout(resolve, 50));
}

await Promise.all(['one', 'two'].map(startNode));
const ledger = await fleet.actor(Ledger, {
  ...{ name: 'ledger', lifetime: 'detached', near: { node: 'one' }, checkpointEvery: 1, maxTaskRetries: 20 },
});
let added = 0;
let over = false;
const adding = (async () => {
  while (!over) await ledger.add(++added);
})();
const numbers = Array.from({ length: TASKS }, (_, i) => i);
const results = fleet.map(square, numbers, { concurrency: 8, maxTaskRetries: 20, resources: {} });
let sum = 0;
let done = 0;
let killed = 0;
for await (const result of results) {
  sum += result;
  done++;
  if (killed >= KILLS || done < ((killed + 1) * TASKS) / (KILLS + 1)) continue;
  const at = (await fleet.listActors()).find(({ name }) => name === 'ledger')?.node ?? '';
  const victim = nodes.has(at) ? at : [...nodes.keys()][0];
  const startMs = performance.now();
  nodes.get(victim).kill('SIGKILL');
  nodes.delete(victim);
  killed++;
  await ledger.total();
  console.log(`killed ${victim}; the ledger answered again after ${Math.round(performance.now() - startMs)} ms`);
  await startNode(`spare-${killed}`);
}
over = true;
await adding;
const right = numbers.reduce((all, number) => all + number * number, 0) === sum;
const kept = (await ledger.total()) === (added * (added + 1)) / 2;
console.log(`${killed} nodes killed, ${done} tasks, ${added} additions`);
console.log(`results right: ${right}; each addition counted once: ${kept}`);
await ledger.$kill();
await fleet.close();
for (const child of nodes.values()) child.kill();
await Promise.all([...nodes.values()].map((child) => child.exitCode ?? once(child, 'exit')));
await rm(dir, { recursive: true, force: true });
process.exitCode = right && kept ? 0 : 1;
