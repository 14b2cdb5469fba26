import * as limits from '../limits.js';
import type { LogLevel } from '../log.js';
import { modelNameOf } from '../model/model-name.js';
import type { ReasoningParser } from '../model/reasoning-format.js';
import type { ToolCallParser } from '../model/tool-format.js';
import { adapterFolderOf } from './adapter-options.js';
import { requiredSecret } from './cluster-secret.js';
import { checkExposure } from './exposure.js';
import { type HttpConfig, httpConfig } from './http-config.js';
import { type JwtConfig, jwtConfig } from './jwt-config.js';
import { readKeysFile } from './keys-file.js';
import type { Machine } from './machine.js';
import { modelFolder, type NamedGraph, namedGraph } from './model-folder.js';
import { DEFAULT_NATS_URL, type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { type PeerTlsConfig, peerTls } from './peer-tls.js';
import { checkRedisExposure, type RedisConfig, redisConfig } from './redis-config.js';
import { readSecretFile } from './secret-file.js';
import { type TraceConfig, traceConfig } from './trace-config.js';
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
  /** Which of the model's graphs the workers run. */
  readonly graph: NamedGraph;
  /** Folder of adapters, as an absolute path. It need not exist. */
  readonly adapterDir: string;
  /** The name of the model in answers. */
  readonly servedModelName: string;
  /** Other names that clients may use for it. */
  readonly modelAliases: readonly string[];
  /** How the model's answers are read as messages. */
  readonly parsers: {
    readonly toolCalls: ToolCallParser | 'auto' | 'none';
    readonly reasoning: ReasoningParser | 'auto' | 'none';
  };
  readonly replicas: number;
  /** Longest sequence. A lower limit of the model wins. Null: the workers' limit. */
  readonly contextTokens: number | null;
  /** Whether a client may choose the worker. */
  readonly allowRouting: boolean;
  /** Whether operators may kill workers of this machine. */
  readonly allowChaos: boolean;
  /** Keys without tenants and limits. Never logged. */
  readonly apiKeys: readonly string[];
  /** Keys with the role `metrics`; they alone do not close the API. */
  readonly metricsKeys: readonly string[];
  readonly http: HttpConfig;
  /** Absolute or relative path of the keys file; null for none. */
  readonly keysFile: string | null;
  /** Null: no tokens are accepted. */
  readonly jwt: JwtConfig | null;
  readonly auditLog: AuditLogConfig | null;
  /** Limit on the bytes of an object; 0: the fleet has none. */
  readonly objectBytes: number;
  /** Time for which answers of the Responses API are stored; 0: none is stored. */
  readonly responseTtlMs: number;
  /** Null: no clients of the Redis protocol. */
  readonly redis: RedisConfig | null;
  /** Null: no traces are recorded. */
  readonly trace: TraceConfig | null;
  readonly logLevel: LogLevel;
}

/** The files of the audit log; null for none. */
interface AuditLogConfig {
  readonly path: string;
  /** Limit on the size of one file. */
  readonly fileBytes: number;
  /** Limit on the files, the present one included. */
  readonly files: number;
}

/** The API keys, from the variable or from the file; none if neither is given. */
export function clientKeys(values: Pick<Values, 'apiKeys' | 'apiKeysFile'>): readonly string[] {
  if (values.apiKeys !== null) return checkLengths('SHOAL_API_KEYS', values.apiKeys);
  if (values.apiKeysFile === null) return [];
  const name = '--api-keys-file (SHOAL_API_KEYS_FILE)';
  const keys = readSecretFile(name, values.apiKeysFile).split(/\s+/);
  if (keys.length <= limits.API_KEYS) return checkLengths(name, keys);
  throw new WrongUsage(
    `${name}: the file must contain at most ${limits.API_KEYS} keys, got ${keys.length} in ${values.apiKeysFile}`,
  );
}

function checkLengths(name: string, keys: readonly string[]): readonly string[] {
  const short = keys.findIndex((key) => key.length < limits.API_KEY_CHARS);
  if (short === -1) return keys;
  throw new WrongUsage(
    `${name}: each key must have at least ${limits.API_KEY_CHARS} characters; key ${short + 1} has ${keys[short]!.length}; shoal key makes one`,
  );
}

/** The key for metrics alone; none if no file is given. @throws WrongUsage */
function metricsKeys({ metricsKeyFile }: Pick<Values, 'metricsKeyFile'>): readonly string[] {
  if (metricsKeyFile === null) return [];
  const name = '--metrics-key-file (SHOAL_METRICS_KEY_FILE)';
  return checkLengths(name, [readSecretFile(name, metricsKeyFile)]);
}

/** The path of the keys file, once its content has been checked. @throws WrongUsage */
export function checkedKeysFile({ keysFile }: Pick<Values, 'keysFile'>): string | null {
  if (keysFile !== null) readKeysFile(keysFile);
  return keysFile;
}

export function modelName(values: Pick<Values, 'servedModelName'>, modelDir: string): string {
  return values.servedModelName?.[0] ?? modelNameOf(modelDir);
}

function auditLogConfig({ auditLog, auditLogBytes, auditLogFiles }: Values): AuditLogConfig | null {
  return auditLog === null ? null : { path: auditLog, fileBytes: auditLogBytes, files: auditLogFiles };
}

/** @throws WrongUsage */
export function coordinatorConfig(values: Values, machine: Machine): CoordinatorConfig {
  const modelDir = modelFolder(values.model, values.modelFile);
  const apiKeys = clientKeys(values);
  const keysFile = checkedKeysFile(values);
  const jwt = jwtConfig(values);
  const needsKey = apiKeys.length > 0 || keysFile !== null || jwt !== null;
  checkExposure(values, needsKey);
  const redis = redisConfig(values);
  checkRedisExposure(redis, needsKey);
  return {
    id: values.coordinatorId ?? `coordinator-${machine.nameEnd}`,
    namespace: values.namespace,
    nats: natsAccess(values.nats ?? DEFAULT_NATS_URL, values),
    secret: requiredSecret(values),
    peerTls: peerTls(values),
    host: values.host,
    port: values.port,
    modelDir,
    graph: namedGraph(values),
    adapterDir: adapterFolderOf(values.adapterDir, modelDir),
    servedModelName: modelName(values, modelDir),
    modelAliases: values.servedModelName?.slice(1) ?? [],
    parsers: { toolCalls: values.toolCallParser ?? 'auto', reasoning: values.reasoningParser ?? 'auto' },
    replicas: values.replicas,
    contextTokens: values.context,
    allowRouting: values.allowRouting ?? false,
    allowChaos: values.allowChaos,
    apiKeys,
    metricsKeys: metricsKeys(values),
    keysFile,
    jwt,
    http: httpConfig(values, machine),
    auditLog: auditLogConfig(values),
    objectBytes: values.objectBytes,
    responseTtlMs: values.responseTtl,
    redis,
    trace: traceConfig(values),
    logLevel: values.logLevel ?? 'info',
  };
}
