import { join } from 'node:path';
import { z } from 'zod';
import { ask, defineProtocol, stream } from '../src/actors/protocol.js';
import { ActorSystem } from '../src/actors/system.js';
import { connectNats } from '../src/bus/nats-connect.js';
import { SystemClock } from '../src/clock.js';
import { hostId } from '../src/fleet/identity.js';
import { setSendBuffer } from '../src/native/libc.js';
import { PeerCallLinks } from '../src/peer/calls/peer-call-links.js';
import { PeerServer } from '../src/peer/server/peer-server.js';
import { packed } from '../src/protocol/bytes.js';
import { GenerateEvent } from '../src/protocol/generate.js';
import { SystemRandom } from '../src/random.js';
import { type BenchNats, NAMESPACE, sealedBus } from './actor-bus.js';
import { ECHO_BYTES, serveEcho } from './bare-echo.js';
import { BLOCK_BYTES, benchBytes, FINGERPRINT, SECRET, senderHost } from './peer-sender.js';
import { serveSealedEcho } from './sealed-echo.js';

/** The serving process of benchmark `actor`: an actor, a peer server, and bare echoes. */

export const SERVER = { node: 'server', incarnation: '1' };
export const ECHO_ACTOR = 'echo';
/** Subject of the bare request over NATS. */
export const BARE_SUBJECT = 'bench.bare';

const Bytes = z.strictObject({ bytes: packed(1, ECHO_BYTES) });

export const EchoProtocol = defineProtocol('bench-echo', {
  echo: ask(Bytes, Bytes),
  /** Events of one token each, as fast as they can be sent. */
  events: stream(z.strictObject({ count: z.int().min(1) }), GenerateEvent),
});

/** The addresses that the server reports to its parent process. */
export interface ServerAddresses {
  readonly shoal: {
    readonly hostId: string;
    readonly unixPath: string | null;
    readonly tcpHost: string | null;
    readonly tcpPort: number | null;
  };
  readonly bare: { readonly unixPath: string; readonly tcpHost: string; readonly tcpPort: number };
}

async function serve(folder: string, nats: BenchNats): Promise<ServerAddresses> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const identity = { id: SERVER.node, incarnation: SERVER.incarnation, fingerprint: FINGERPRINT };
  const own = { identity, secret: SECRET, clock, random, setSendBuffer };
  const links = new PeerCallLinks({ ...own, hostId: hostId(), addressOf: () => null });
  const host = senderHost(benchBytes(), null);
  const server = new PeerServer({
    ...own,
    host,
    blockBytes: BLOCK_BYTES,
    roleOf: () => 'worker',
    onCalls: links.accept,
  });
  const bus = await sealedBus(nats, { id: SERVER.node, incarnation: SERVER.incarnation });
  const node = { id: SERVER.node, incarnation: SERVER.incarnation };
  const system = new ActorSystem({ bus, links, clock, random, node, namespace: NAMESPACE });
  await system.spawn(EchoProtocol, ECHO_ACTOR, () => ({
    echo: ({ bytes }) => ({ bytes }),
    events: ({ count }) => tokenEvents(count),
  }));
  serveSealedEcho(bus);
  await bus.flush();
  await serveBareRequests(nats);
  const unixPath = join(folder, 'bare.sock');
  await serveEcho({ path: unixPath });
  const tcpPort = await serveEcho({ host: '127.0.0.1', port: 0 });
  const shoal = await server.listen({ unixPath: join(folder, 'shoal.sock'), tcpHost: '127.0.0.1' });
  return { shoal: { hostId: hostId(), ...shoal }, bare: { unixPath, tcpHost: '127.0.0.1', tcpPort } };
}

async function* tokenEvents(count: number): AsyncGenerator<GenerateEvent> {
  for (let id = 0; id < count; id++) yield { type: 'tokens', ids: [id] };
}

async function serveBareRequests(nats: BenchNats): Promise<void> {
  const { connection } = await connectNats(nats);
  connection.subscribe(BARE_SUBJECT, { callback: (_, message) => void message.respond(message.data) });
  await connection.flush();
}

const [, , role, folder] = process.argv;
if (role === 'shoal-bench-actor-server' && folder !== undefined && process.send) {
  process.on('disconnect', () => process.exit(0));
  process.once('message', (nats) => {
    void serve(folder, nats as BenchNats).then((addresses) => process.send?.(addresses));
  });
}
