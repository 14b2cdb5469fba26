import { batched } from 'shoal';

const SIZE = 256;

/** Turns texts into vectors, many at a time. The vectors count hashed words: put the call of your model there. */
export class Embedder {
  batches = 0;
  embedOne = batched((texts) => this.embedAll(texts), { maxSize: 32, waitMs: 2 });

  embed(text) {
    return this.embedOne(text);
  }

  batchCount() {
    return this.batches;
  }

  embedAll(texts) {
    this.batches++;
    return texts.map((text) => {
      const vector = new Float32Array(SIZE);
      for (const [word] of text.toLowerCase().matchAll(/\p{L}{3,}/gu)) vector[hashOf(word) % SIZE] += 1;
      const length = Math.hypot(...vector) || 1;
      return vector.map((value) => value / length);
    });
  }
}

/** A part of the index. */
export class Shard {
  entries = [];

  add(text, vector) {
    this.entries.push({ text, vector });
  }

  /** The best entries, with their likeness. */
  search(query, count) {
    const scored = this.entries.map(({ text, vector }) => ({
      text,
      score: vector.reduce((sum, value, i) => sum + value * query[i], 0),
    }));
    return scored.sort((a, b) => b.score - a.score).slice(0, count);
  }
}

function hashOf(word) {
  let hash = 7;
  for (let i = 0; i < word.length; i++) hash = (hash * 31 + word.charCodeAt(i)) >>> 0;
  return hash;
}
