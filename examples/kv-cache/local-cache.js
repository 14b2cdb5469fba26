import { KVClient } from 'shoal/client';
import { isSame, layerOf, url } from './layer.js';

// A local cache in front of the fleet: prefetched layers are read from the memory of this process, pinned ones stay there.
// shoal up, then: node examples/kv-cache/local-cache.js

const LAYERS = 4;
const prefix = `local cache ${Date.now()}`;
const writer = new KVClient(url, { model: 'example', ttlS: 600 });
await writer.putLayers(
  prefix,
  Array.from({ length: LAYERS }, (_, layer) => layerOf(layer)),
);

const kv = new KVClient(url, { model: 'example', localBytes: 64 * 2 ** 20 });
const before = await kv.prefetch(prefix, LAYERS);
console.log(`prefetched ${before} layers, ${(await kv.stats()).local.bytes} bytes here`);
for (let layer = 0; layer < LAYERS; layer++) {
  if (!isSame(await kv.get(prefix, layer), layerOf(layer))) throw new Error(`layer ${layer} is wrong`);
}
console.log(`read ${LAYERS} layers, ${(await kv.stats()).local.layers} are left here`);

await kv.pin(prefix, LAYERS);
await writer.delete(prefix, 0);
const pinned = await kv.get(prefix, 0);
console.log(`a pinned layer that the fleet has lost is here: ${isSame(pinned, layerOf(0))}`);
kv.close();
