import { KVClient } from 'shoal/client';
import { layerOf, url } from './layer.js';

// What ways of keeping K/V cost for the same reads. Computing is a loop here: put the time of your own model in its place.
// shoal up, then: node examples/kv-cache/strategies.js [URL] [READS]

const reads = Number(process.argv[3] ?? 40);
const TOKENS = 256;
const PREFIXES = 4;
const compute = async (at) => layerOf(at, TOKENS);
const run = Date.now();

function ofFleet(name, options) {
  const kv = new KVClient(url, { model: `strategies/${run}/${name}`, ttlS: 600, ...options });
  return { name, read: (at) => kv.getOrCompute(`prompt ${at}`, 0, () => compute(at)), stats: () => kv.stats() };
}

function prefetching() {
  const kv = new KVClient(url, { model: `strategies/${run}/prefetch`, ttlS: 600 });
  const read = async (at) => {
    const layer = await kv.getOrCompute(`prompt ${at}`, 0, () => compute(at));
    // The next prompt comes while this one is used.
    await kv.prefetch(`prompt ${(at + 1) % PREFIXES}`, 1);
    return layer;
  };
  return { name: 'fleet, prefetched', read, stats: () => kv.stats() };
}

function localOnly() {
  const known = new Map();
  const read = async (at) => known.get(at) ?? known.set(at, await compute(at)).get(at);
  return { name: 'one process alone', read, stats: async () => ({ bytesRead: 0 }) };
}

const strategies = [
  { name: 'compute always', read: compute, stats: async () => ({ bytesRead: 0 }) },
  localOnly(),
  ofFleet('fleet', {}),
  prefetching(),
  ofFleet('fleet, lz4', { encoding: { compression: 'lz4' } }),
  ofFleet('fleet, zstd', { encoding: { compression: 'zstd' } }),
  ofFleet('fleet, int8', { encoding: { cast: 'int8' } }),
];
console.log('strategy             ms for each read   bytes from the fleet');
for (const { name, read, stats } of strategies) {
  const startMs = performance.now();
  for (let i = 0; i < reads; i++) await read(i % PREFIXES);
  const eachMs = (performance.now() - startMs) / reads;
  console.log(`${name.padEnd(21)}${eachMs.toFixed(2).padEnd(19)}${(await stats()).bytesRead}`);
}
