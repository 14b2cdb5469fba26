import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startNatsServer } from '../cli/nats/embedded-server.js';
import { natsProgram } from '../cli/nats/nats-process.js';
import type { NatsBus } from '../src/bus/nats-bus.js';
import { connectNats } from '../src/bus/nats-connect.js';
import { type BenchNats, sealedBus } from './actor-bus.js';
import { ActorCaller, type BenchRoute, ROUTES } from './actor-caller.js';
import { actorReport, type Round, type RouteRound } from './actor-report.js';
import { BARE_SUBJECT, SERVER, type ServerAddresses } from './actor-server.js';
import { BareEcho, ECHO_BYTES } from './bare-echo.js';
import { peerTransfer, type Transfer } from './peer-transfers.js';
import { type Benchmark, type BenchOptions, median, type Report } from './report.js';
import { ScratchFolder } from './scratch-folder.js';
import { SealedEcho } from './sealed-echo.js';
import { quantile } from './streams.js';
import { callsPerSecond, itemsPerSecond, roundTrips } from './timing.js';

/**
 * Calls between the actors of two processes: over a direct Unix socket, direct TCP and NATS, each compared with a bare echo of the same bytes. All take
 * turns in each round, and the ratios are medians over the rounds.
 */

const ROUNDS = 15;
/** Rounds before the first one that counts: the engine compiles the code of both processes during them. */
const WARM_UP_ROUNDS = 3;
/** How long a round measures each round trip and each rate. */
const SLICE_MS = 200;
/** Calls and echoes take so many turns in a slice: which core a process is on, and how deep it sleeps, changes from second to second. */
const TURNS = 8;
/** How long a round measures calls during transfers of blocks, and without them. */
const BLOCKS_SLICE_MS = 400;
const IN_FLIGHT = 64;
const STREAM_ITEMS = 4_000;

const now = () => performance.now();

/** The calls over one route, and the bare echo for comparison. */
interface Lane {
  readonly route: BenchRoute;
  readonly caller: ActorCaller;
  readonly bare: () => Promise<unknown>;
}

/** All that the measuring process has open. */
interface Bench {
  readonly lanes: readonly Lane[];
  readonly sealed: SealedEcho;
  readonly blocks: Transfer;
  close(): Promise<void>;
}

export const run: Benchmark = async (options: BenchOptions): Promise<Report> => {
  const rounds = Math.max(options.rounds ?? ROUNDS, 1);
  options.progress('starting nats-server and the serving process');
  const nats = await startNatsServer({ path: await natsProgram(null, options.progress) });
  const scratch = new ScratchFolder('bench');
  const file = fileURLToPath(new URL('./actor-server.js', import.meta.url));
  const server = fork(file, ['shoal-bench-actor-server', scratch.path], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let bench: Bench | null = null;
  try {
    const { url, user, password } = nats;
    bench = await open(await addressesOf(server, { url, user, password }), { url, user, password });
    const measured: Round[] = [];
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      options.progress(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
      const one = await measure(bench, round + WARM_UP_ROUNDS);
      if (round >= 0) measured.push(one);
    }
    bench.blocks.check();
    return actorReport(measured);
  } finally {
    await bench?.close();
    if (server.connected) {
      server.disconnect();
      await once(server, 'exit');
    }
    await nats.stop();
    await scratch.remove();
  }
};

function addressesOf(server: ChildProcess, nats: BenchNats): Promise<ServerAddresses> {
  return new Promise((resolve, reject) => {
    server.once('message', (message) => resolve(message as ServerAddresses));
    server.once('exit', (code) => reject(new Error(`the serving process ended with ${code} before it was ready`)));
    server.send(nats);
  });
}

async function open(addresses: ServerAddresses, nats: BenchNats): Promise<Bench> {
  const { shoal, bare } = addresses;
  const unix = await BareEcho.dial({ path: bare.unixPath });
  const tcp = await BareEcho.dial({ host: bare.tcpHost, port: bare.tcpPort });
  const bus = await connectNats(nats);
  const bareCalls = { unix: () => unix.roundTrip(), tcp: () => tcp.roundTrip(), nats: bareRequest(bus) };
  const lanes: Lane[] = [];
  for (const route of ROUTES) {
    lanes.push({ route, caller: await ActorCaller.open(route, addresses, nats), bare: bareCalls[route] });
  }
  const sealed = await openSealedEcho(nats);
  const target = { id: SERVER.node, incarnation: SERVER.incarnation, generation: 1, address: shoal };
  const blocks = peerTransfer(target, shoal.hostId);
  return {
    lanes,
    sealed,
    blocks,
    close: async () => {
      for (const { caller } of lanes) await caller.close();
      blocks.close();
      await sealed.close();
      unix.close();
      tcp.close();
      await bus.close();
    },
  };
}

function bareRequest({ connection }: NatsBus): () => Promise<unknown> {
  const bytes = new Uint8Array(ECHO_BYTES).fill(7);
  return () => connection.request(BARE_SUBJECT, bytes, { timeout: 5_000 });
}

async function openSealedEcho(nats: BenchNats): Promise<SealedEcho> {
  const bus = await sealedBus(nats, { id: 'caller-sealed', incarnation: '1' });
  const echo = new SealedEcho(bus, 'caller-sealed');
  await bus.flush();
  // Both sides prove that they live before the first one ends.
  await echo.roundTrip();
  return echo;
}

/** One round. Each begins with the next route, and with calls and echoes by turns. */
async function measure({ lanes, sealed, blocks }: Bench, round: number): Promise<Round> {
  const routes: Partial<Record<BenchRoute, RouteRound>> = {};
  for (let turn = 0; turn < lanes.length; turn++) {
    const lane = lanes[(round + turn) % lanes.length]!;
    routes[lane.route] = await measureLane(lane, round % 2 === 0);
  }
  const sealedMicros = median(await roundTrips(() => sealed.roundTrip(), SLICE_MS, now));
  const [{ caller }] = lanes as [Lane];
  const idle = await roundTrips(() => caller.ask(), BLOCKS_SLICE_MS, now);
  const busy = await besideTransfers(blocks, () => roundTrips(() => caller.ask(), BLOCKS_SLICE_MS, now));
  return {
    ...(routes as Record<BenchRoute, RouteRound>),
    sealedMicros,
    idle: { p50: quantile(idle, 0.5), p99: quantile(idle, 0.99) },
    busy: { p50: quantile(busy, 0.5), p99: quantile(busy, 0.99) },
  };
}

async function measureLane({ caller, bare }: Lane, callsFirst: boolean): Promise<RouteRound> {
  const ask = () => caller.ask();
  const [asks, echoes]: number[][] = [[], []];
  for (let turn = 0; turn < 2 * TURNS; turn++) {
    const calls = (turn % 2 === 0) === callsFirst;
    (calls ? asks : echoes)!.push(...(await roundTrips(calls ? ask : bare, SLICE_MS / TURNS, now)));
  }
  const askRate = await callsPerSecond(ask, IN_FLIGHT, SLICE_MS, now);
  const itemRate = await itemsPerSecond(caller.events(STREAM_ITEMS), now);
  return { askMicros: median(asks!), bareMicros: median(echoes!), askRate, itemRate };
}

/** Measures while all blocks are fetched again and again. */
async function besideTransfers<T>(blocks: Transfer, measured: () => Promise<T>): Promise<T> {
  let over = false;
  const transfers = (async () => {
    while (!over) await blocks.run();
  })();
  try {
    return await measured();
  } finally {
    over = true;
    await transfers;
  }
}
