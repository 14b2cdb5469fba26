import { SseReader } from '../feed/sse-reader.js';
import { keyProblem } from './login-words.js';

/** Calls the coordinator that served the page, with the key of the session. */

/** The coordinator refused a request, or was not there (status 0). */
export class ApiFailure extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly key: string | null) {}

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await this.ask('GET', path, null, {}, signal)).json() as Promise<T>;
  }

  async post<T>(path: string, body: object, headers: Record<string, string> = {}): Promise<T> {
    return (await this.ask('POST', path, body, headers)).json() as Promise<T>;
  }

  async delete<T>(path: string): Promise<T> {
    return (await this.ask('DELETE', path, null, {})).json() as Promise<T>;
  }

  /** The data of server-sent events, up to the end of the stream. */
  async *events(
    path: string,
    {
      body = null,
      headers = {},
      signal,
    }: { body?: object | null; headers?: Record<string, string>; signal: AbortSignal },
  ): AsyncGenerator<string, void> {
    const answer = await this.ask(body === null ? 'GET' : 'POST', path, body, headers, signal);
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    const events = new SseReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        for (const data of events.push(value)) {
          if (data === '[DONE]') return;
          yield data;
        }
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  private async ask(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body: object | null,
    headers: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Response> {
    const problem = this.key === null ? null : keyProblem(this.key);
    if (problem !== null) throw new ApiFailure(401, problem);
    const answer = await fetch(path, {
      method,
      headers: {
        ...(this.key === null ? {} : { authorization: `Bearer ${this.key}` }),
        ...(body === null ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    }).catch((error: unknown) => {
      if (signal?.aborted) throw error;
      throw new ApiFailure(0, 'the coordinator does not answer');
    });
    if (answer.ok) return answer;
    throw new ApiFailure(answer.status, await messageOf(answer));
  }
}

/** The message of an error of the API. */
async function messageOf(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => null)) as { error?: { message?: string } } | null;
  return body?.error?.message ?? `the coordinator answered ${answer.status}`;
}
