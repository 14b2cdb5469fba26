import { chunksOf } from '../fleet/chunks.js';
import type { FleetApi } from '../fleet/fleet-api.js';
import { promptsOf } from './prefixes.js';

/** Long sampled streams with the same text each time, on any worker. */

/** The body of a long request; the same for the same seed. */
export function longRequest(seed: number, maxTokens: number): Record<string, unknown> {
  const { prompt } = promptsOf(16, 500 + seed)[0]!;
  return { model: 'recall', prompt, max_tokens: maxTokens, ignore_eos: true, temperature: 0.8, seed };
}

/** A stream as its client sees it. */
export interface ReadStream {
  readonly text: string;
  /** Why it ended early; null if it did not. */
  readonly error: string | null;
}

/** Reads a stream to its end. `onText` sees the text so far. Never rejects. */
export async function readStream(
  api: FleetApi,
  body: Record<string, unknown>,
  onText: (text: string) => void = () => undefined,
): Promise<ReadStream> {
  let text = '';
  try {
    const response = await api.post('/v1/completions', { ...body, stream: true });
    if (response.status !== 200) return { text, error: `${response.status}: ${await response.text()}` };
    for await (const chunk of chunksOf(response)) {
      text += chunk.choices[0]?.text ?? '';
      onText(text);
    }
    return { text, error: null };
  } catch (error) {
    return { text, error: error instanceof Error ? error.message : String(error) };
  }
}

/** The undisturbed texts of long requests, computed without any cache. */
export function undisturbed(api: FleetApi, bodies: readonly Record<string, unknown>[]): Promise<string[]> {
  return Promise.all(
    bodies.map(async (body) => (await api.complete({ ...body, cache_salt: 'undisturbed' })).choices[0]!.text),
  );
}
