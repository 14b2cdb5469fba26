import { useCallback, useEffect, useState } from 'preact/hooks';
import type { CachePin } from '../../src/console/cache-answers.js';
import type { Api } from '../session/api.js';

/** The pins of the reader's tenant, which change while they are copied. */

const REFRESH_MS = 3_000;

export interface Pins {
  /** Null until they are known. */
  readonly pins: readonly CachePin[] | null;
  readonly problem: string | null;
  readonly reload: () => Promise<void>;
}

export function usePins(api: Api): Pins {
  const [pins, setPins] = useState<readonly CachePin[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const reload = useCallback(async () => {
    try {
      setPins((await api.get<{ data: CachePin[] }>('/v1/cache/pins')).data);
      setProblem(null);
    } catch (error) {
      setProblem((error as Error).message);
    }
  }, [api]);
  useEffect(() => {
    void reload();
    const timer = setInterval(reload, REFRESH_MS);
    return () => clearInterval(timer);
  }, [reload]);
  return { pins, problem, reload };
}
