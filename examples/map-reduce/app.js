import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { connect } from 'shoal';
import { countWords } from './code.js';

// Counts the words of all Markdown files of a folder: the map runs on the nodes, the reduce here, as results come in.
// shoal run examples/map-reduce/app.js docs --actors examples/map-reduce/code.js

const folder = resolve(process.argv[2] ?? 'docs');
const files = (await readdir(folder)).filter((name) => name.endsWith('.md')).map((name) => join(folder, name));
const fleet = await connect();
const total = new Map();
for await (const counts of fleet.map(countWords, files, { concurrency: 8, maxTaskRetries: 2 })) {
  for (const [word, count] of counts) total.set(word, (total.get(word) ?? 0) + count);
}
const top = [...total].sort(([, a], [, b]) => b - a).slice(0, 5);
console.log(`${files.length} files, ${total.size} different words; the most frequent:`);
for (const [word, count] of top) console.log(`${count}\t${word}`);
await fleet.close();
