import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { KVClient } from 'shoal/client';
import { isSame, layerOf } from './layer.js';

// Starts a fleet of its own, kills a worker while layers are written, and reads every layer that was acknowledged.
// node examples/kv-cache/failover.js

const LAYERS = 60;
const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const args = ['up', '--json', '--port', '0', '--workers', '3', '--replicas', '2', '--object-bytes', '64MiB'];
const fleet = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
const ended = once(fleet, 'exit');
try {
  const line = await Promise.race([once(createInterface({ input: fleet.stdout }), 'line'), ended]);
  if (typeof line[0] !== 'string') throw new Error(`the fleet ended with ${line[0]} before it was ready`);
  const { url, workers } = JSON.parse(line[0]);
  const kv = new KVClient(url, { model: 'failover' });
  console.log(`a fleet of ${workers.length} workers with two copies of everything`);
  for (let at = 0; at < LAYERS; at++) {
    if (at === LAYERS / 3) {
      process.kill(workers[1].pid, 'SIGKILL');
      console.log(`killed ${workers[1].id} after ${at} writes`);
    }
    await kv.put('prompt', at, layerOf(at, 16));
  }
  let lost = 0;
  for (let at = 0; at < LAYERS; at++) {
    const found = await kv.get('prompt', at);
    if (found === null || !isSame(found, layerOf(at, 16))) lost++;
  }
  console.log(`${LAYERS} layers acknowledged, ${lost} lost or wrong`);
  if (lost > 0) process.exitCode = 1;
} finally {
  fleet.kill('SIGINT');
  await ended;
}
