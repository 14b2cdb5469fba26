import { readFile } from 'node:fs/promises';

/** Counts the words of one file. The file must be readable where this runs. */
export async function countWords(path) {
  const counts = new Map();
  for (const [word] of (await readFile(path, 'utf8')).toLowerCase().matchAll(/\p{L}+/gu)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}
