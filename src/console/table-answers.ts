import type { RequestStep, TokensBySource } from './feed-messages.js';

/** The answers of the routes behind the console's tables: the types that both sides share. */

/** The answer of `GET /v1/fleet/slow`. */
export interface SlowAnswer {
  /** The coordinator's clock now, in milliseconds; the steps use the same clock. */
  readonly now: number;
  /** The steps of each request, the slowest request first. */
  readonly requests: readonly (readonly RequestStep[])[];
}

/** The answer of `GET /v1/fleet/tenants`: this coordinator's counts for each tenant since it started. */
export interface TenantsAnswer {
  readonly since_seconds: number;
  readonly tenants: readonly TenantRow[];
}

export interface TenantRow {
  /** Null for requests without a key. */
  readonly tenant: string | null;
  readonly running: number;
  readonly requests: number;
  readonly failed: number;
  readonly cached: TokensBySource;
  readonly generated: number;
  /** Since its latest request began. */
  readonly idle_seconds: number;
}

/** The answer of `GET /v1/fleet/actors`: the nodes of the runtime and what runs on them. */
export interface ActorsAnswer {
  readonly nodes: readonly RuntimeNodeRow[];
  readonly actors: readonly ActorRow[];
  readonly tasks: readonly TaskRow[];
  /** Nodes that did not say in time what runs on them. */
  readonly silent: readonly string[];
  /** Whether there are more actors or tasks than an answer has room for. */
  readonly more: boolean;
}

export interface RuntimeNodeRow {
  readonly id: string;
  readonly kind: 'node' | 'driver';
  readonly host: string;
  readonly pid: number;
  /** The worker in the same process; null if there is none. */
  readonly worker: string | null;
  readonly actors: number;
  readonly tasks: number;
  /** Names of the classes and functions that it hosts. */
  readonly hosts: readonly string[];
}

export interface ActorRow {
  readonly id: string;
  readonly class: string;
  readonly name: string | null;
  readonly namespace: string;
  readonly lifetime: 'driver' | 'detached';
  readonly node: string;
  readonly restarts: number;
  readonly running: number;
  readonly calls: number;
  readonly errors: number;
}

export interface TaskRow {
  readonly id: string;
  readonly function: string;
  readonly node: string;
  readonly attempt: number;
  readonly running_ms: number;
}
