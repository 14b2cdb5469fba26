import { once } from 'node:events';
import { createServer } from 'node:net';
import type { UpConfig } from '../src/config/up-config.js';
import { Unavailable } from '../src/errors.js';

/** Whether the ports of a fleet are free. */

/** A port that a child will listen on, and the option that names it. */
interface WantedPort {
  readonly host: string;
  readonly port: number;
  readonly option: '--port' | '--redis-port';
}

/**
 * Tries the ports of a fleet before anything of it starts. A port that is taken later still ends the start of its child.
 * @throws Unavailable if one of them cannot be listened on
 */
export async function checkFreePorts(
  config: Pick<UpConfig, 'host' | 'ports' | 'redisHost' | 'redisPorts'>,
): Promise<void> {
  const { host, ports, redisHost, redisPorts } = config;
  const redis = redisPorts === null ? [] : [...redisPorts.coordinators, ...redisPorts.workers];
  const wanted: WantedPort[] = [
    ...ports.map((port) => ({ host, port, option: '--port' as const })),
    ...redis.map((port) => ({ host: redisHost, port, option: '--redis-port' as const })),
  ];
  // The system finds a free one for port 0.
  for (const one of wanted) if (one.port !== 0) await checkFree(one);
}

async function checkFree({ host, port, option }: WantedPort): Promise<void> {
  const server = createServer();
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Unavailable(`cannot listen on ${host}:${port}: ${reason}; choose another ${option}`, { cause });
  }
  server.close();
  await once(server, 'close');
}
