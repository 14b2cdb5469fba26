import { resolve } from 'node:path';
import { parseByteSize } from '../byte-size.js';
import type { Machine } from './machine.js';
import type { Values } from './options.js';
import { WrongUsage } from './wrong-usage.js';

/** The configuration of a process that hosts users' code. */

/** The modules that a process hosts, and the resources that it offers them. */
export interface HostingConfig {
  /** Absolute paths of modules. */
  readonly modules: readonly string[];
  readonly resources: Readonly<Record<string, number>>;
  readonly gpuIds: readonly string[];
  readonly objects: ObjectsConfig;
  /** The coordinator that knows where the K/V of a prefix is. */
  readonly coordinator: { readonly url: string; readonly apiKey: string | null };
}

/** Where a process keeps the objects that it owns. */
export interface ObjectsConfig {
  readonly budgetBytes: number;
  /** Parent of the folder for objects beyond the budget; null for none. */
  readonly dir: string | null;
}

export function objectsConfig({
  actorObjectBytes,
  objectDir,
}: Pick<Values, 'actorObjectBytes' | 'objectDir'>): ObjectsConfig {
  return { budgetBytes: actorObjectBytes, dir: objectDir === null ? null : resolve(objectDir) };
}

/** The hosting configuration; null if the process hosts nothing. @throws WrongUsage */
export function hostingConfig(values: Values, machine: Machine): HostingConfig | null {
  if (values.actors === null) return null;
  const gpuIds = values.visibleDevices ?? [];
  const offered: Record<string, number> = { cpu: machine.cores, memory: machine.availableBytes };
  if (gpuIds.length > 0) offered.gpu = gpuIds.length;
  for (const entry of values.resources ?? []) {
    const [name, text] = entry.split('=') as [string, string];
    const amount = name === 'memory' ? parseByteSize(text) : Number(text);
    if (amount === null || !Number.isFinite(amount)) {
      throw new WrongUsage(
        `--resources (SHOAL_RESOURCES): ${name} must be a number, or a size for memory, got ${JSON.stringify(text)}`,
      );
    }
    offered[name] = amount;
  }
  return {
    modules: values.actors.map((path) => resolve(path)),
    resources: offered,
    gpuIds,
    objects: objectsConfig(values),
    coordinator: { url: values.url, apiKey: values.apiKey },
  };
}
