import { KVClient } from 'shoal/client';
import { isSame, layerOf, url } from './layer.js';

// Several engines, one cache: each layer is computed once in the whole fleet, whoever asks first.
// shoal up, then: node examples/kv-cache/distributed-cache.js

const ENGINES = 6;
const LAYERS = 4;
const prefix = `You are a helpful assistant. ${Date.now()}`;
let computed = 0;

async function engine() {
  const kv = new KVClient(url, { model: 'example/float16', ttlS: 600 });
  for (let layer = 0; layer < LAYERS; layer++) {
    const found = await kv.getOrCompute(prefix, layer, async () => {
      computed++;
      return layerOf(layer);
    });
    if (!isSame(found, layerOf(layer))) throw new Error(`layer ${layer} is wrong`);
  }
  return (await kv.stats()).hits;
}

const hits = await Promise.all(Array.from({ length: ENGINES }, engine));
console.log(`${ENGINES} engines took ${ENGINES * LAYERS} layers: ${computed} computed, the rest from the fleet`);
console.log(`hits of each engine: ${hits.join(' ')}`);
if (computed !== LAYERS) process.exitCode = 1;
