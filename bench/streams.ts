import type { Streamed } from './first-token.js';

/** Streams that ran at the same time, and what is told of them together. Times are those of `performance.now()`. */

/**
 * Tokens a second of all streams while all of them decode: from the moment when the last of them has its first token to the moment when the
 * first of them ends. A chunk counts for as many tokens as the chunks of its stream have on average: most have one, and where a character
 * is not whole yet, two tokens come as one chunk.
 */
export function decodeRate(streams: readonly Streamed[]): number {
  const fromMs = Math.max(...streams.map((stream) => timesOf(stream)[0]!));
  const toMs = Math.min(...streams.map((stream) => timesOf(stream).at(-1)!));
  if (toMs <= fromMs)
    throw new Error('a stream ended before all had begun: there is no time in which all of them decode');
  const tokens = streams.map((stream) => {
    const times = timesOf(stream);
    const after = ({ length }: readonly number[]) => length - 1;
    return (after(times.filter((ms) => ms <= toMs)) - after(times.filter((ms) => ms <= fromMs))) * tokensAChunk(stream);
  });
  return (1000 * sum(tokens)) / (toMs - fromMs);
}

/** Tokens a second of all streams from the first request to the last token, prompts included. */
export function wholeRate(streams: readonly Streamed[]): number {
  const fromMs = Math.min(...streams.map(({ startMs }) => startMs));
  const toMs = Math.max(...streams.map((stream) => timesOf(stream).at(-1)!));
  return (1000 * sum(streams.map(({ completionTokens }) => completionTokens))) / (toMs - fromMs);
}

/** Milliseconds between neighbouring chunks of each stream, where the time between them touches `[fromMs, toMs]`. */
export function gapsWithin(streams: readonly Streamed[], fromMs: number, toMs: number): number[] {
  return streams.flatMap((stream) => {
    const times = timesOf(stream);
    return times.slice(1).flatMap((ms, i) => (ms >= fromMs && times[i]! <= toMs ? [ms - times[i]!] : []));
  });
}

/** The least of the samples that at least this part of them does not exceed. */
export function quantile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!;
}

function timesOf({ startMs, chunkMs }: Streamed): number[] {
  return chunkMs.map((ms) => startMs + ms);
}

/** All chunks but the first, which has the first token. */
function tokensAChunk({ chunkMs, completionTokens }: Streamed): number {
  return (completionTokens - 1) / (chunkMs.length - 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
