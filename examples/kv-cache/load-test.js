import { KVClient } from 'shoal/client';
import { isSame, layerOf, url } from './layer.js';

// Clients at once that read and write layers, and check every byte. Exits with 1 after any error.
// shoal up, then: node examples/kv-cache/load-test.js [URL] [CLIENTS] [REQUESTS]

const clients = Number(process.argv[3] ?? 100);
const requests = Number(process.argv[4] ?? 1_000);
const PREFIXES = 20;
/** One request in so many writes. */
const WRITES = 5;

const model = `load/${Date.now()}`;
const layers = Array.from({ length: PREFIXES }, (_, at) => layerOf(at, 16));
const first = new KVClient(url, { model, ttlS: 600 });
for (const [at, layer] of layers.entries()) await first.put(`prompt ${at}`, 0, layer);

const latenciesMs = [];
let sent = 0;
let failed = 0;
async function client() {
  const kv = new KVClient(url, { model, ttlS: 600 });
  while (sent < requests) {
    const request = sent++;
    const at = request % PREFIXES;
    const startMs = performance.now();
    try {
      if (request % WRITES === 0) await kv.put(`prompt ${at}`, 0, layers[at]);
      else if (!isSame(await kv.get(`prompt ${at}`, 0), layers[at])) throw new Error('wrong bytes');
      latenciesMs.push(performance.now() - startMs);
    } catch (error) {
      failed++;
      console.error(error.message);
    }
  }
}

const startMs = performance.now();
await Promise.all(Array.from({ length: clients }, client));
const seconds = (performance.now() - startMs) / 1_000;
latenciesMs.sort((a, b) => a - b);
const quantile = (q) => (latenciesMs[Math.floor(q * (latenciesMs.length - 1))] ?? Number.NaN).toFixed(1);
console.log(`${requests} requests of ${clients} clients in ${seconds.toFixed(2)} s, ${failed} failed`);
console.log(`${(requests / seconds).toFixed(0)} requests/s; p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms`);
if (failed > 0) process.exitCode = 1;
