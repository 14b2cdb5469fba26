import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createSocketServer } from 'node:net';
import { join } from 'node:path';
import { openParentLink } from '../../../../../../cli/process/parent-link.js';
import { runRole } from '../../../../../../cli/process/role.js';
import type { RunningRole } from '../../../../../../src/running-role.js';

/**
 * A stub of a coordinator or worker that starts and stops as a real one does. Variables: STUB_DOOR, a Unix socket that it stays
 * connected to; STUB_FOLDER, in which workers leave their names for the coordinator; STUB_FAILS, the name of the process that fails
 * to start; STUB_STOP, `hangs` for a process that does not stop.
 */
const {
  STUB_DOOR,
  STUB_FOLDER,
  STUB_FAILS,
  STUB_STOP,
  SHOAL_WORKER_ID,
  SHOAL_COORDINATOR_ID,
  SHOAL_PEER_SOCKET,
  SHOAL_PORT,
  SHOAL_TLS_KEY,
  SHOAL_TLS_CERT,
  SHOAL_TLS_CLIENT_CA,
} = process.env;
const role = process.argv[2];
const id = SHOAL_WORKER_ID ?? SHOAL_COORDINATOR_ID ?? 'nameless';

async function start(): Promise<RunningRole> {
  if (STUB_DOOR) connect(STUB_DOOR).write(`${id} ${process.pid}\n`);
  if (STUB_FAILS === id) throw new Error(`${id} finds its port in use`);
  process.stderr.write(`${JSON.stringify({ level: 30, msg: `${id} starts` })}\n`);
  return role === 'coordinator' ? startCoordinator() : startWorker();
}

async function startWorker(): Promise<RunningRole> {
  const peers = createSocketServer();
  if (SHOAL_PEER_SOCKET) rmSync(SHOAL_PEER_SOCKET, { force: true });
  if (SHOAL_PEER_SOCKET) await new Promise<void>((resolve) => peers.listen(SHOAL_PEER_SOCKET, resolve));
  if (STUB_FOLDER) writeFileSync(join(STUB_FOLDER, id), String(process.pid));
  const alive = setInterval(() => {}, 1_000);
  const stop = async () => {
    if (STUB_STOP === 'hangs') return new Promise<void>(() => {});
    clearInterval(alive);
    if (STUB_FOLDER) rmSync(join(STUB_FOLDER, id));
    peers.close();
  };
  return { ready: { id, incarnation: `of ${id}`, secret: process.env.SHOAL_SECRET ?? null }, stop };
}

async function startCoordinator(): Promise<RunningRole> {
  const answer: RequestListener = (request, response) => {
    // No client of these tests has a certificate.
    if (SHOAL_TLS_CLIENT_CA && !request.url?.startsWith('/health')) {
      response.writeHead(403).end('{}');
      return;
    }
    const workers = readdirSync(STUB_FOLDER ?? '.').map((worker) => ({
      id: worker,
      state: 'serving',
      pid: 1,
      host: 'here',
      device: 'cpu',
      blocks: 0,
      bytes: { device: 0, host: 0 },
      budget: { device: 0, host: 0 },
      running: 0,
      waiting: 0,
      hit_rate: 0,
    }));
    const fleet = { model: 'stub', replicas: 2, epoch: '0', coordinators: [], workers };
    response.end(JSON.stringify(request.url === '/v1/fleet' ? fleet : {}));
  };
  const tls = SHOAL_TLS_KEY !== undefined && SHOAL_TLS_CERT !== undefined;
  const server = tls
    ? createTlsServer({ key: readFileSync(SHOAL_TLS_KEY), cert: readFileSync(SHOAL_TLS_CERT) }, answer)
    : createServer(answer);
  await new Promise<void>((resolve) => server.listen(Number(SHOAL_PORT), '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const stop = async () => {
    server.closeAllConnections();
    server.close();
  };
  return { ready: { url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` }, stop };
}

const link = openParentLink();
link?.listen(({ type, worker, incarnation }) =>
  process.stderr.write(`${id} heard: ${type} ${worker} ${incarnation}\n`),
);
const code = await runRole(
  {
    start,
    describe: (error) => (error instanceof Error ? error.message : String(error)),
    onGivenUp: () => process.stderr.write('given up\n'),
    onError: (error) => process.stderr.write(`${JSON.stringify({ level: 60, msg: String(error) })}\n`),
  },
  link,
);
process.exit(code);
