import { basename } from 'node:path';
import * as limits from '../limits.js';
import type { LogLevel } from '../log.js';
import { requiredSecret } from './cluster-secret.js';
import type { Machine } from './machine.js';
import { modelFolder } from './model-folder.js';
import { type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { type PeerTlsConfig, peerTls } from './peer-tls.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** Everything that one coordinator is told from outside. */
export interface CoordinatorConfig {
  readonly id: string;
  readonly namespace: string;
  readonly nats: NatsAccess;
  /** Shared by the whole fleet. Never logged. */
  readonly secret: string;
  /** Null for plain TCP between peers. */
  readonly peerTls: PeerTlsConfig | null;
  /** Where HTTP listens. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** Absolute. Its tokenizer, template and configuration are used, not its weights. */
  readonly modelDir: string;
  readonly servedModelName: string;
  readonly replicas: number;
  /** Longest sequence; the model's own limit holds if it is less. */
  readonly contextTokens: number;
  /** Whether a client may name the worker. */
  readonly allowRouting: boolean;
  /** Keys of which a client must send one; empty: no key is asked for. Never logged. */
  readonly apiKeys: readonly string[];
  readonly logLevel: LogLevel;
}

/** The keys from the variable or the file, none if neither is given. */
export function clientKeys(values: Pick<Values, 'apiKeys' | 'apiKeysFile'>): readonly string[] {
  if (values.apiKeys !== null || values.apiKeysFile === null) return values.apiKeys ?? [];
  const name = '--api-keys-file (SHOAL_API_KEYS_FILE)';
  const keys = readSecretFile(name, values.apiKeysFile).split(/\s+/);
  if (keys.length <= limits.API_KEYS) return keys;
  throw new WrongUsage(
    `${name} names ${values.apiKeysFile} with ${keys.length} keys: it must hold at most ${limits.API_KEYS}.`,
  );
}

export function modelName(values: Pick<Values, 'servedModelName'>, modelDir: string): string {
  return values.servedModelName ?? basename(modelDir);
}

/** @throws WrongUsage */
export function coordinatorConfig(values: Values, machine: Machine): CoordinatorConfig {
  const modelDir = modelFolder(values.model);
  return {
    id: values.coordinatorId ?? machine.processName,
    namespace: values.namespace,
    nats: natsAccess(values.nats ?? 'nats://127.0.0.1:4222', values),
    secret: requiredSecret(values),
    peerTls: peerTls(values),
    host: values.host,
    port: values.port,
    modelDir,
    servedModelName: modelName(values, modelDir),
    replicas: values.replicas,
    contextTokens: values.context,
    allowRouting: values.allowRouting ?? false,
    apiKeys: clientKeys(values),
    logLevel: values.logLevel ?? 'info',
  };
}
