import { createServer } from 'node:net';
import { join } from 'node:path';
import { type PlainNats, plainNats } from './plain-nats.js';

/** A cluster of nats-servers with JetStream. Each can be killed and started again. */
export class NatsCluster {
  private readonly servers: PlainNats[] = [];

  private constructor(
    private readonly path: string,
    private readonly dir: string,
    private readonly routes: readonly number[],
  ) {}

  /** Starts `size` servers, which store their data below `dir`. */
  static async start(path: string, dir: string, size: number): Promise<NatsCluster> {
    const cluster = new NatsCluster(path, dir, await freePorts(size));
    cluster.servers.push(...(await Promise.all(cluster.routes.map((_, i) => cluster.startServer(i, '-1')))));
    return cluster;
  }

  /** The clients' URLs of all servers, separated by commas. */
  get urls(): string {
    return this.servers.map(({ url }) => url).join(',');
  }

  async kill(server: number): Promise<void> {
    await this.servers[server]!.stop('SIGKILL');
  }

  /** Starts a killed server again, on the same port and with its data. */
  async restart(server: number): Promise<void> {
    this.servers[server] = await this.startServer(server, new URL(this.servers[server]!.url).port);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop('SIGKILL')));
  }

  private startServer(server: number, port: string): Promise<PlainNats> {
    const name = `server-${server + 1}`;
    const urls = this.routes.map((route) => `nats://127.0.0.1:${route}`);
    const clustered = ['--cluster_name', 'shoal', '--cluster', urls[server]!, '--routes', urls.join(',')];
    return plainNats(this.path, ['-p', port, '-n', name, '-js', '-sd', join(this.dir, name), ...clustered]);
  }
}

/** Ports that are free at the moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(
    (server) =>
      new Promise<number>((resolve) => {
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
      }),
  );
  const found = await Promise.all(ports);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}
