/** The load of a worker: its announcement, combined with each coordinator's own requests. */

export interface Load {
  /** Requests that have not ended. */
  readonly requests: number;
  /** Prompt tokens of those requests that are not computed yet. */
  readonly computeTokens: number;
}

export const NO_LOAD: Load = { requests: 0, computeTokens: 0 };

/**
 * The part of an announced load that other coordinators placed: the announced load without `own`, this coordinator's load on the worker when it
 * heard the announcement. Requests in transit to the worker at that moment make the result too small, never negative.
 */
export function loadOfOthers(announced: Load, own: Load): Load {
  return {
    requests: Math.max(0, announced.requests - own.requests),
    computeTokens: Math.max(0, announced.computeTokens - own.computeTokens),
  };
}

export function sumOf(a: Load, b: Load): Load {
  return { requests: a.requests + b.requests, computeTokens: a.computeTokens + b.computeTokens };
}
