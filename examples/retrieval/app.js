import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'shoal';
import { Embedder, Shard } from './code.js';

// Embeds the paragraphs of a folder in batches, spreads them over shards of an index, and finds those that are most like a question.
// shoal run examples/retrieval/app.js docs "QUESTION" --actors examples/retrieval/code.js

const [folder = 'docs', question = 'How often does a node renew its lease?'] = process.argv.slice(2);
const files = (await readdir(folder)).filter((name) => name.endsWith('.md'));
const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
const paragraphs = texts.flatMap((text) => text.split(/\n\n+/)).filter((text) => text.length > 80);

const fleet = await connect();
const embedder = await fleet.actor(Embedder, { maxConcurrency: 64 });
const shards = await Promise.all([0, 1, 2].map(() => fleet.actor(Shard)));
for (let from = 0; from < paragraphs.length; from += 64) {
  const part = paragraphs.slice(from, from + 64);
  await Promise.all(
    part.map(async (text, i) => shards[(from + i) % shards.length].add(text, await embedder.embed(text))),
  );
}
const query = await embedder.embed(question);
const found = (await Promise.all(shards.map((shard) => shard.search(query, 3)))).flat();
const [best] = found.sort((a, b) => b.score - a.score);
console.log(`${paragraphs.length} paragraphs in ${await embedder.batchCount()} batches and ${shards.length} shards`);
console.log(`${best.score.toFixed(2)} ${best.text.replaceAll('\n', ' ').slice(0, 160)}`);
await fleet.close();
