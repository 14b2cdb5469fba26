import { z } from 'zod';

/** The report of a client for K/V on itself and on the fleet. */

/** The objects of all workers, each copy counted, and their memory. */
export interface KVMemory {
  readonly objects: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  /** Copies that went because their memory was needed, since their workers started. */
  readonly evicted: number;
}

/** `connected` is false if the fleet does not answer, or not as it should. */
export type KVHealth =
  | { readonly connected: true; readonly roundTripMs: number; readonly memory: KVMemory }
  | { readonly connected: false; readonly error: string };

/** The client's counters since its start. */
export interface KVClientStats {
  readonly hits: number;
  readonly misses: number;
  /** Hits of all reads; 0 before the first one. */
  readonly hitRate: number;
  readonly puts: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Layers in the memory of this process. */
  readonly local: { readonly layers: number; readonly pinned: number; readonly bytes: number };
  /** Null if the fleet does not answer. */
  readonly fleet: KVMemory | null;
}

/** The answer of `GET /v1/kv?view=memory`. */
export const MemoryAnswer = z
  .object({ objects: z.int(), bytes: z.int(), budget_bytes: z.int(), evicted: z.int() })
  .transform(({ budget_bytes: budgetBytes, ...rest }): KVMemory => ({ ...rest, budgetBytes }));
