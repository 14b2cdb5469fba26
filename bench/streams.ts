import type { Streamed } from './first-token.js';

/** Rates and gaps of concurrent streams. */

/**
 * Tokens per second of all streams while all of them decode: from the first token of the last stream to start until the first stream ends. A
 * chunk counts as the average number of tokens of its stream's chunks: most chunks have one token, but a character that is split over
 * tokens makes one chunk of several.
 */
export function decodeRate(streams: readonly Streamed[]): number {
  const fromMs = Math.max(...streams.map((stream) => timesOf(stream)[0]!));
  const toMs = Math.min(...streams.map((stream) => timesOf(stream).at(-1)!));
  if (toMs <= fromMs)
    throw new Error(
      'cannot measure the decode rate: one stream ended before another started, so there is no time in which all of them decode',
    );
  const tokens = streams.map((stream) => {
    const times = timesOf(stream);
    const after = ({ length }: readonly number[]) => length - 1;
    return (
      (after(times.filter((ms) => ms <= toMs)) - after(times.filter((ms) => ms <= fromMs))) * tokensPerChunk(stream)
    );
  });
  return (1000 * sum(tokens)) / (toMs - fromMs);
}

/** Tokens per second of all streams from the first request to the last token, prompts included. */
export function wholeRate(streams: readonly Streamed[]): number {
  const fromMs = Math.min(...streams.map(({ startMs }) => startMs));
  const toMs = Math.max(...streams.map((stream) => timesOf(stream).at(-1)!));
  return (1000 * sum(streams.map(({ completionTokens }) => completionTokens))) / (toMs - fromMs);
}

/** The gaps in milliseconds between consecutive chunks of each stream that overlap `[fromMs, toMs]`. */
export function gapsWithin(streams: readonly Streamed[], fromMs: number, toMs: number): number[] {
  return streams.flatMap((stream) => {
    const times = timesOf(stream);
    return times.slice(1).flatMap((ms, i) => (ms >= fromMs && times[i]! <= toMs ? [ms - times[i]!] : []));
  });
}

/** The smallest sample that at least the fraction `part` of the samples does not exceed. */
export function quantile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!;
}

function timesOf({ startMs, chunkMs }: Streamed): number[] {
  return chunkMs.map((ms) => startMs + ms);
}

/** The average number of tokens of a chunk, without the first, which has the first token. */
function tokensPerChunk({ chunkMs, completionTokens }: Streamed): number {
  return (completionTokens - 1) / (chunkMs.length - 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
