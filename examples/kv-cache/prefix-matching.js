import { KVClient } from 'shoal/client';
import { layerOf, url } from './layer.js';

// The longest beginning of a prompt that has K/V in the fleet: only the rest has to be computed.
// shoal up, then: node examples/kv-cache/prefix-matching.js

const kv = new KVClient(url, { model: `example/${Date.now()}`, ttlS: 600 });
const system = Array.from({ length: 192 }, (_, at) => at * 7);
const ask = (question) => [...system, ...Array.from({ length: 40 }, (_, at) => question * 1000 + at)];

await kv.put(system, 0, layerOf(0, system.length));
for (const [name, prompt] of [
  ['a question under the same system prompt', ask(1)],
  ['another one', ask(2)],
  ['a prompt that begins otherwise', [1, ...ask(1).slice(1)]],
]) {
  const tokens = await kv.longestPrefix(prompt);
  console.log(`${name}: ${tokens} of ${prompt.length} tokens have K/V, ${prompt.length - tokens} are to be computed`);
}
console.log(`the two questions have ${(100 * kv.similarity(ask(1), ask(2))).toFixed(0)} % in common`);
