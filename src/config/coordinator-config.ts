import { basename } from 'node:path';
import * as limits from '../limits.js';
import type { LogLevel } from '../log.js';
import { requiredSecret } from './cluster-secret.js';
import { checkExposure } from './exposure.js';
import { type HttpConfig, httpConfig } from './http-config.js';
import type { Machine } from './machine.js';
import { modelFolder } from './model-folder.js';
import { type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { type PeerTlsConfig, peerTls } from './peer-tls.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** The complete configuration of one coordinator. */
export interface CoordinatorConfig {
  readonly id: string;
  readonly namespace: string;
  readonly nats: NatsAccess;
  /** Shared by the whole fleet. Never logged. */
  readonly secret: string;
  /** Null: peers use plain TCP. */
  readonly peerTls: PeerTlsConfig | null;
  /** The address of the HTTP API. Port 0 takes a free port. */
  readonly host: string;
  readonly port: number;
  /** Absolute path. A coordinator uses the tokenizer, template and configuration, not the weights. */
  readonly modelDir: string;
  readonly servedModelName: string;
  readonly replicas: number;
  /** Longest sequence. A lower limit of the model wins. */
  readonly contextTokens: number;
  /** Whether a client may choose the worker. */
  readonly allowRouting: boolean;
  /** A client must send one of these keys. Empty: no key is required. Never logged. */
  readonly apiKeys: readonly string[];
  readonly http: HttpConfig;
  readonly logLevel: LogLevel;
}

/** The API keys, from the variable or from the file; none if neither is given. */
export function clientKeys(values: Pick<Values, 'apiKeys' | 'apiKeysFile'>): readonly string[] {
  if (values.apiKeys !== null || values.apiKeysFile === null) return values.apiKeys ?? [];
  const name = '--api-keys-file (SHOAL_API_KEYS_FILE)';
  const keys = readSecretFile(name, values.apiKeysFile).split(/\s+/);
  if (keys.length <= limits.API_KEYS) return keys;
  throw new WrongUsage(
    `${name}: the file must contain at most ${limits.API_KEYS} keys, got ${keys.length} in ${values.apiKeysFile}`,
  );
}

export function modelName(values: Pick<Values, 'servedModelName'>, modelDir: string): string {
  return values.servedModelName ?? basename(modelDir);
}

/** @throws WrongUsage */
export function coordinatorConfig(values: Values, machine: Machine): CoordinatorConfig {
  const modelDir = modelFolder(values.model);
  const apiKeys = clientKeys(values);
  checkExposure(values, apiKeys.length > 0);
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
    apiKeys,
    http: httpConfig(values, machine),
    logLevel: values.logLevel ?? 'info',
  };
}
