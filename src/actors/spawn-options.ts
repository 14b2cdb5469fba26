import type { RestartPolicy } from './restart-policy.js';

/** How an actor is spawned. */
export interface SpawnOptions {
  /** Bound on the messages waiting in the mailbox. */
  readonly mailbox?: number;
  /** Calls that the actor handles at a time. Default: 1. */
  readonly concurrency?: number;
  /** Whether `lookup` finds the actor. Default: true. An actor that is called by its address alone costs no subscription on the bus. */
  readonly listed?: boolean;
  readonly supervision?: Partial<RestartPolicy> & { readonly onGiveUp?: (error: unknown) => void };
}
