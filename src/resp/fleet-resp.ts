import type { Clock } from '../clock.js';
import { packageVersion } from '../config/package-root.js';
import type { RedisConfig } from '../config/redis-config.js';
import type { Log } from '../log.js';
import { RedisMetrics } from '../metrics/redis-metrics.js';
import type { MetricsRegistry } from '../metrics/registry.js';
import type { Objects } from '../objects/objects.js';
import type { Surroundings } from '../surroundings.js';
import type { RespAccess } from './resp-access.js';
import { RespServer } from './resp-server.js';
import type { RespHost } from './resp-session.js';

/** The port for the Redis protocol of a member of the fleet. */

/** Incoming values of all clients together have this many times the memory of the largest value. */
const STAGED_VALUES = 2;
const LEAST_STAGING_BYTES = 64 * 2 ** 20;

export interface FleetRespOptions {
  readonly redis: RedisConfig;
  readonly objectBytes: number;
  readonly objects: Objects;
  readonly access: RespAccess;
  readonly role: RespHost['role'];
  readonly id: string;
  readonly memory: RespHost['memory'];
  readonly clock: Clock;
  readonly surroundings: Pick<Surroundings, 'wallMs' | 'setSendBuffer'>;
  readonly log: Log;
  readonly registry: MetricsRegistry;
}

/** Makes the server, which listens once it is started. */
export function fleetResp(options: FleetRespOptions): RespServer {
  const { redis, objectBytes, objects, access, role, id, memory, clock, surroundings, log, registry } = options;
  const { wallMs, setSendBuffer } = surroundings;
  const metrics = new RedisMetrics(registry, () => server.clients);
  const server = new RespServer({
    listen: redis,
    host: { objects, access, clock, wallMs, version: packageVersion(), role, id, objectBytes, memory },
    stagingBytes: Math.max(LEAST_STAGING_BYTES, STAGED_VALUES * objectBytes),
    log,
    setSendBuffer: setSendBuffer ?? undefined,
    onCommand: (command, ms) => {
      metrics.commands.add(1, { command });
      metrics.seconds.add(ms / 1_000, { command });
    },
  });
  return server;
}
