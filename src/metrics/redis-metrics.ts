import type { Counter, MetricsRegistry } from './registry.js';

/** The metrics of a port for the Redis protocol. */
export class RedisMetrics {
  readonly commands: Counter<'command'>;
  readonly seconds: Counter<'command'>;

  constructor(registry: MetricsRegistry, clients: () => number) {
    registry.gauge(
      { name: 'shoal_redis_clients', help: 'Clients of the Redis protocol that are connected.' },
      (gauge) => gauge.set(clients()),
    );
    this.commands = registry.counter({
      name: 'shoal_redis_commands_total',
      help: 'Commands of the Redis protocol, by command.',
      labels: ['command'],
    });
    this.seconds = registry.counter({
      name: 'shoal_redis_command_seconds_total',
      help: 'Seconds spent on commands of the Redis protocol, by command.',
      labels: ['command'],
    });
  }
}
