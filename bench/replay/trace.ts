import { closeSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';
import { WrongUsage } from '../../src/config/wrong-usage.js';
import { SeededRandom } from '../../src/random.js';

/** Traces of requests: read from a file, or drawn from a seed. */

/** Tokens per id of a trace. */
export const TRACE_BLOCK_TOKENS = 512;
/** Limit on the requests of a trace. */
const TRACE_REQUESTS = 1_000_000;
/** Limits on the bytes of a trace, and of one of its lines. */
const TRACE_BYTES = 384 * 2 ** 20;
const LINE_BYTES = 4 * 2 ** 20;
const CHUNK_BYTES = 2 ** 20;
const NEWLINE = 10;

export interface TracedRequest {
  readonly atMs: number;
  readonly outputTokens: number;
  readonly promptTokens: number;
  /** One id for each `TRACE_BLOCK_TOKENS` of the prompt. Equal ids have equal prefixes. */
  readonly ids: readonly number[];
}

const Line = z.object({
  timestamp: z.number().min(0),
  input_length: z.int().min(1),
  output_length: z.int().min(0),
  hash_ids: z.array(z.int()).min(1),
});

/**
 * Reads a trace of JSON lines `timestamp` (ms), `input_length`, `output_length` (tokens), `hash_ids` (one for each 512 tokens of input).
 * @throws WrongUsage with the line that is wrong
 */
function readTrace(path: string): TracedRequest[] {
  let text: string;
  try {
    text = readLines(path);
  } catch (error) {
    throw new WrongUsage(`cannot read the trace ${path}: ${error instanceof Error ? error.message : error}`);
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0 || lines.length > TRACE_REQUESTS)
    throw new WrongUsage(`${path}: must have 1 to ${TRACE_REQUESTS} requests, one on each line, got ${lines.length}`);
  return lines.map((line, i) => {
    const { timestamp, input_length, output_length, hash_ids } = parsed(line, `${path}:${i + 1}`);
    return { atMs: timestamp, outputTokens: output_length, promptTokens: input_length, ids: hash_ids };
  });
}

/** The text of a file or of a pipe. @throws Error that says why it cannot be read, or that it is no text in lines of a bearable length */
function readLines(path: string): string {
  const file = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    let [bytes, lineStart] = [0, 0];
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const read = readSync(file, chunk, 0, CHUNK_BYTES, null);
      if (read === 0) return Buffer.concat(chunks, bytes).toString();
      const end = chunk.subarray(0, read).lastIndexOf(NEWLINE);
      chunks.push(chunk.subarray(0, read));
      bytes += read;
      if (end !== -1) lineStart = bytes - read + end;
      if (bytes - lineStart > LINE_BYTES) throw new Error(`a line has more than ${LINE_BYTES} bytes`);
      if (bytes > TRACE_BYTES) throw new Error(`it has more than ${TRACE_BYTES} bytes`);
    }
  } finally {
    closeSync(file);
  }
}

function parsed(line: string, where: string): z.infer<typeof Line> {
  try {
    const request = Line.parse(JSON.parse(line));
    const blocks = Math.ceil(request.input_length / TRACE_BLOCK_TOKENS);
    if (request.hash_ids.length === blocks) return request;
    throw new Error(
      `hash_ids: must have one id for each ${TRACE_BLOCK_TOKENS} tokens of input_length, ${blocks}, got ${request.hash_ids.length}`,
    );
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new WrongUsage(`${where}: must be a request of a trace; ${why}`);
  }
}

/** Traces that are drawn instead of read. */
const DRAWN = {
  /** Many prompts begin with one of 60 heads, some much more often than others. */
  heads: ({ fresh, skewed }) => {
    const heads = Array.from({ length: 60 }, () => fresh(10));
    return () => [...heads[skewed(60)]!, ...fresh(4)];
  },
  /** The same, but half of the prompts come once, and three in ten of them in long floods. */
  flood: ({ fresh, skewed, random }) => {
    const heads = Array.from({ length: 60 }, () => fresh(10));
    return (i) => {
      const isFlood = i % 1_000 >= 700 || random.next() < 0.5;
      return isFlood ? fresh(14) : [...heads[skewed(60)]!, ...fresh(4)];
    };
  },
  /** Conversations of up to 12 rounds, 150 at a time. */
  rounds: ({ fresh, random }) => {
    const open: { prompt: number[]; left: number }[] = [];
    return () => {
      if (open.length === 0 || (open.length < 150 && random.next() < 0.3))
        open.push({ prompt: fresh(3 + random.below(10)), left: 1 + Math.floor(12 * random.next() ** 2) });
      const at = random.below(open.length);
      const one = open[at]!;
      const { prompt } = one;
      one.prompt = [...prompt, ...fresh(1 + random.below(3))];
      if (--one.left === 0) open.splice(at, 1);
      return prompt;
    };
  },
  /** Questions about 400 documents, some much more popular than others. */
  documents: ({ fresh, skewed }) => {
    const documents = Array.from({ length: 400 }, () => fresh(20));
    return () => [...documents[skewed(400)]!, ...fresh(1)];
  },
} satisfies Record<string, (draw: Draw) => (i: number) => readonly number[]>;

interface Draw {
  readonly random: SeededRandom;
  /** Ids that no prompt had before. */
  readonly fresh: (count: number) => number[];
  /** A number below `bound`, small ones more often: its logarithm is uniform. */
  readonly skewed: (bound: number) => number;
}

export const DRAWN_TRACES = Object.keys(DRAWN) as (keyof typeof DRAWN)[];

function drawTrace(name: keyof typeof DRAWN, requests: number): TracedRequest[] {
  const random = new SeededRandom(1);
  let ids = 0;
  const next = DRAWN[name]({
    random,
    fresh: (count) => Array.from({ length: count }, () => ids++),
    skewed: (bound) => Math.floor(bound ** random.next()) - 1,
  });
  let atMs = 0;
  return Array.from({ length: requests }, (_, i) => {
    // Intervals between arrivals that are independent of each other (a Poisson process).
    atMs += -1_000 * Math.log(1 - random.next());
    const outputTokens = 64 + random.below(256);
    const ids = next(i);
    return { atMs, outputTokens, promptTokens: ids.length * TRACE_BLOCK_TOKENS, ids };
  });
}

/** The first `most` requests of the file, or of the drawn trace of that name. */
export function openTrace(source: string, most: number | null): TracedRequest[] {
  const name = DRAWN_TRACES.find((drawn) => drawn === source);
  if (name !== undefined) return drawTrace(name, most ?? 5_000);
  return readTrace(source).slice(0, most ?? undefined);
}
