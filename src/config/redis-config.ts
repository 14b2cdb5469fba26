import { isLoopback } from './exposure.js';
import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** Where a process listens for clients of the Redis protocol. */
export interface RedisConfig {
  readonly host: string;
  /** 0 takes a free port; null for none. */
  readonly port: number | null;
  /** Path of a Unix socket; null for none. */
  readonly socketPath: string | null;
  /** PEM; null: no TLS. The key is never logged. */
  readonly tls: { readonly key: string; readonly cert: string } | null;
  /** Whether other machines can reach it, so that clients need keys. */
  readonly exposed: boolean;
}

type RedisValues = Pick<
  Values,
  'redisPort' | 'redisHost' | 'redisSocket' | 'redisTlsKey' | 'redisTlsCert' | 'objectBytes' | 'insecure'
>;

/** Null: it does not listen. @throws WrongUsage */
export function redisConfig(values: RedisValues): RedisConfig | null {
  const { redisHost: host, redisSocket: socketPath, insecure } = values;
  const { port } = values.redisPort;
  if (port === null && socketPath === null) return null;
  if (values.objectBytes === 0) {
    throw new WrongUsage(
      '--redis-port (SHOAL_REDIS_PORT): needs objects, but --object-bytes (SHOAL_OBJECT_BYTES) is 0',
    );
  }
  return { host, port, socketPath, tls: redisTls(values), exposed: port !== null && !isLoopback(host) && !insecure };
}

function redisTls({ redisTlsKey, redisTlsCert }: RedisValues): RedisConfig['tls'] {
  if (redisTlsKey === null && redisTlsCert === null) return null;
  const files = [
    ['--redis-tls-key (SHOAL_REDIS_TLS_KEY)', redisTlsKey],
    ['--redis-tls-cert (SHOAL_REDIS_TLS_CERT)', redisTlsCert],
  ] as const;
  const [key, cert] = files.map(([name, path]) => {
    if (path === null) throw new WrongUsage(`${name}: must be set, as TLS needs a key and a certificate`);
    return readSecretFile(name, path);
  });
  return { key: key!, cert: cert! };
}

/** Refuses a port that others can reach and that needs no key. @throws WrongUsage */
export function checkRedisExposure(redis: RedisConfig | null, needsKey: boolean): void {
  if (redis === null || !redis.exposed || needsKey) return;
  throw new WrongUsage(
    `--redis-host (SHOAL_REDIS_HOST): must be a loopback address without API keys, got ${redis.host}; set SHOAL_API_KEYS or --keys-file, or open the fleet to everyone with --insecure (SHOAL_INSECURE=1)`,
  );
}
