import type { Binding } from '../ort/binding.js';
import type { Value } from '../ort/value.js';
import type { AdapterRef } from '../protocol/adapter.js';

/** The port through which the engine gets the adapters that its sequences run with. */
export interface Adapters {
  /**
   * Loads an adapter, unless it is loaded, and keeps it until the lease is released.
   * @throws Unavailable if this worker cannot get its file, Refused if it does not fit the graph or the memory for adapters, the signal's reason
   */
  lease(ref: AdapterRef, signal: AbortSignal): Promise<AdapterLease>;
}

/** An adapter in memory: parameters that take the place of the graph's defaults, by input. */
export interface LoadedAdapter {
  readonly fingerprint: string;
  readonly inputs: ReadonlyMap<string, Value>;
}

/**
 * Makes the runs of a binding use an adapter, as values of the graph's optional inputs. ONNX Runtime's own way, `RunOptionsAddActiveLoraAdapter`, has no
 * effect on runs with a binding.
 */
export function bindAdapter(binding: Binding, { inputs }: LoadedAdapter): void {
  for (const [name, value] of inputs) binding.bindInput(name, value);
}

/** The right to run with an adapter. */
export interface AdapterLease {
  readonly adapter: LoadedAdapter;
  /** Idempotent. */
  release(): void;
}
