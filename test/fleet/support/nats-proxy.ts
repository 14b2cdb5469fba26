import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy in front of NATS, through which one process alone can lose it. */
export class NatsProxy {
  private readonly pairs = new Set<readonly [Socket, Socket]>();
  private cut = false;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(natsUrl: string): Promise<NatsProxy> {
    const port = Number(new URL(natsUrl).port);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new NatsProxy(server, `nats://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('connection', (client) => proxy.join(client, connect(port, '127.0.0.1')));
    return proxy;
  }

  /** From now on nothing passes, in either direction, although connections stay open and new ones are accepted. */
  hang(): void {
    this.cut = true;
  }

  /** Closes the connections that hung. New ones work. */
  heal(): void {
    this.cut = false;
    for (const [client] of this.pairs) client.destroy();
  }

  async stop(): Promise<void> {
    for (const [client] of this.pairs) client.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket, nats: Socket): void {
    const pair = [client, nats] as const;
    this.pairs.add(pair);
    const close = () => {
      this.pairs.delete(pair);
      client.destroy();
      nats.destroy();
    };
    for (const [from, to] of [pair, [nats, client] as const]) {
      from.on('data', (bytes) => this.cut || to.write(bytes));
      from.on('error', close);
      from.on('close', close);
    }
  }
}
