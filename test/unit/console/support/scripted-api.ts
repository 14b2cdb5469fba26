import { Api } from '../../../../console/session/api.js';

/** One request for an answer. */
export interface AskedAnswer {
  readonly path: string;
  readonly body: { readonly prompt?: string; readonly cache_salt?: string };
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** A coordinator whose answers a test scripts: pieces of text, or the reason for none. */
export class ScriptedApi extends Api {
  readonly asked: AskedAnswer[] = [];

  constructor(private readonly answer: (asked: AskedAnswer) => AsyncIterable<string> | Iterable<string>) {
    super(null);
  }

  override async *events(
    path: string,
    { body, headers = {}, signal }: { body?: object | null; headers?: Record<string, string>; signal: AbortSignal },
  ): AsyncGenerator<string, void> {
    const asked = { path, body: body as AskedAnswer['body'], headers, signal };
    this.asked.push(asked);
    let tokens = 0;
    for await (const text of this.answer(asked)) {
      tokens++;
      yield JSON.stringify({ choices: [{ text, delta: { content: text } }] });
    }
    const shoal = { worker: 'w1', cached: { local: 0, remote: 0, computed: 1 }, ttft_ms: 1, queue_ms: 0 };
    yield JSON.stringify({ choices: [], usage: { completion_tokens: tokens }, shoal });
  }

  override async post<T>(): Promise<T> {
    return { tokens: [1], prompt: 'the prompt' } as T;
  }
}

/** Resolves when the signal aborts: an answer that goes on until it is stopped. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
}
