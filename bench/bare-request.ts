import { fastify } from 'fastify';
import { connectNats } from '../src/bus/nats-connect.js';
import type { BenchNats } from './actor-bus.js';

/** The floor of benchmark `request`: an HTTP server that asks one process over NATS for each request, and passes the answer on. */

const BARE_SUBJECT = 'bench.request';
/** About as long as an answer of one token. */
const ANSWER_BYTES = 480;

/** Answers the bare requests of this process's NATS server. */
export async function serveBareRequests(nats: BenchNats): Promise<void> {
  const { connection } = await connectNats(nats);
  connection.subscribe(BARE_SUBJECT, { callback: (_, message) => void message.respond(message.data) });
  await connection.flush();
}

/** Serves on a free port. Resolves with the port. */
async function serveBareHttp(nats: BenchNats): Promise<number> {
  const { connection } = await connectNats(nats);
  const app = fastify();
  const text = 'a'.repeat(ANSWER_BYTES);
  app.post<{ Body: { prompt: string } }>('/v1/completions', async ({ body }) => {
    const answer = await connection.request(BARE_SUBJECT, Buffer.from(body.prompt));
    return { text, echo: answer.data.byteLength };
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as { port: number }).port;
}

const [, , role] = process.argv;
if (role === 'shoal-bench-bare-request' && process.send) {
  process.on('disconnect', () => process.exit(0));
  process.once('message', (nats) => {
    void serveBareHttp(nats as BenchNats).then((port) => process.send?.(port));
  });
}
