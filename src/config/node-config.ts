import type { LogLevel } from '../log.js';
import { requiredSecret } from './cluster-secret.js';
import { type HostingConfig, hostingConfig } from './hosting-config.js';
import type { Machine } from './machine.js';
import { DEFAULT_NATS_URL, type NatsAccess, natsAccess } from './nats-access.js';
import type { Values } from './options.js';
import { type PeerTlsConfig, peerTls } from './peer-tls.js';
import { type TraceConfig, traceConfig } from './trace-config.js';
import { type MetricsConfig, metricsConfig, type PeerConfig, peerConfig } from './worker-config.js';
import { WrongUsage } from './wrong-usage.js';

/** The complete configuration of one node of the runtime. */

export interface NodeConfig extends HostingConfig {
  readonly id: string;
  readonly namespace: string;
  readonly nats: NatsAccess;
  /** Shared by the whole fleet. Never logged. */
  readonly secret: string;
  readonly peerTls: PeerTlsConfig | null;
  readonly peer: PeerConfig;
  /** Null: no metrics are served. */
  readonly metrics: MetricsConfig | null;
  /** Null: no traces are recorded. */
  readonly trace: TraceConfig | null;
  readonly logLevel: LogLevel;
}

/** @throws WrongUsage */
export function nodeConfig(values: Values, machine: Machine): NodeConfig {
  const hosting = hostingConfig(values, machine);
  if (hosting === null) throw new WrongUsage('--actors (SHOAL_ACTORS): must name a module to host, got nothing');
  return {
    ...hosting,
    id: values.nodeId ?? `node-${machine.nameEnd}`,
    namespace: values.namespace,
    nats: natsAccess(values.nats ?? DEFAULT_NATS_URL, values),
    secret: requiredSecret(values),
    peerTls: peerTls(values),
    peer: peerConfig(values, machine),
    metrics: metricsConfig(values),
    trace: traceConfig(values),
    logLevel: values.logLevel ?? 'info',
  };
}
