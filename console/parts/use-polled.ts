import { useEffect, useState } from 'preact/hooks';
import { type Api, ApiFailure } from '../session/api.js';

/** An answer of the coordinator that is asked for again and again. */

export interface Polled<T> {
  /** The latest answer; null until there is one. */
  readonly answer: T | null;
  /** Why there is no newer answer; null if there is nothing wrong. */
  readonly problem: string | null;
}

/** @param path null to ask nothing */
export function usePolled<T>(api: Api, path: string | null, intervalMs: number): Polled<T> {
  const [polled, setPolled] = useState<Polled<T>>({ answer: null, problem: null });
  useEffect(() => {
    setPolled({ answer: null, problem: null });
    if (path === null) return;
    const closed = new AbortController();
    const { signal } = closed;
    const poll = async () => {
      while (!signal.aborted) {
        try {
          const answer = await api.get<T>(path, signal);
          setPolled({ answer, problem: null });
        } catch (error) {
          if (signal.aborted) return;
          const forbidden = error instanceof ApiFailure && error.status === 403;
          const problem = forbidden ? 'This needs the key of an operator.' : (error as Error).message;
          setPolled(({ answer }) => ({ answer, problem }));
          if (forbidden) return;
        }
        await new Promise((resolve) => setTimeout(resolve, intervalMs));
      }
    };
    void poll();
    return () => closed.abort();
  }, [api, path, intervalMs]);
  return polled;
}
