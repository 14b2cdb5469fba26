import { KVClient } from 'shoal/client';
import { url } from './layer.js';

// Whether the cache works: a write and a read, their latency, and the memory of the fleet. Exits with 1 if it does not.
// shoal up, then: node examples/kv-cache/health.js

const kv = new KVClient(url, { model: 'example', requestS: 5 });
const health = await kv.health();
if (health.connected) {
  const { bytes, budgetBytes, objects, evicted } = health.memory;
  console.log(`${url} is healthy: wrote and read an object in ${health.roundTripMs.toFixed(1)} ms`);
  console.log(`${objects} objects, ${bytes} of ${budgetBytes} bytes (${((100 * bytes) / budgetBytes).toFixed(1)} %)`);
  console.log(`${evicted} evicted since the workers started`);
} else {
  console.log(`the cache does not work: ${health.error}`);
  process.exitCode = 1;
}
