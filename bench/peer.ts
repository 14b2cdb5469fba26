import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlockKey } from '../src/core/block.js';
import { PeerClient, type PeerTarget } from '../src/peer/client.js';
import {
  BLOCK_BYTES,
  BLOCKS,
  benchBlocks,
  benchBytes,
  blockAt,
  FINGERPRINT,
  SECRET,
  SENDER,
  type Senders,
} from './peer-sender.js';
import { type Benchmark, type BenchOptions, machineLine, median, type Report, reportRow } from './report.js';

/**
 * 16 blocks of 4 MiB from one process to another, over a Unix socket and over TCP: fetched by the peer protocol with every digest verified,
 * beside a raw Node socket of the same kind that reads the same bytes with `onread` into one large buffer. The two take turns, in each
 * round anew which goes first.
 */

const ROUNDS = 15;
const WARM_UP_ROUNDS = 3;
const LEAST_OF_RAW = 0.7;

type Kind = 'unix' | 'tcp';

/** Seconds that one transfer of all bytes takes. */
type Transfer = () => Promise<number>;

interface Lane {
  readonly kind: Kind;
  readonly shoal: Transfer;
  readonly raw: Transfer;
  readonly samples: { readonly shoal: number[]; readonly raw: number[] };
}

export const run: Benchmark = async (options: BenchOptions): Promise<Report> => {
  const rounds = Math.max(options.rounds ?? ROUNDS, 1);
  const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const sender = fork(
    fileURLToPath(new URL('./peer-sender.js', import.meta.url)),
    ['shoal-bench-peer-sender', folder],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  );
  const closers: (() => void)[] = [];
  try {
    options.progress('starting the sending process');
    const senders = await firstMessage(sender);
    const lanes = await Promise.all((['unix', 'tcp'] as const).map((kind) => lane(kind, senders, closers)));
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      if (round >= 0) options.progress(`round ${round + 1} of ${rounds}`);
      for (const { shoal, raw, samples } of lanes) {
        const turns = [
          async () => samples.shoal.push(rate(await shoal())),
          async () => samples.raw.push(rate(await raw())),
        ];
        if (round % 2 === 0) turns.reverse();
        for (const turn of turns) await turn();
        if (round < 0) for (const list of Object.values(samples)) list.pop();
      }
    }
    return report(lanes);
  } finally {
    for (const close of closers) close();
    sender.disconnect();
    await once(sender, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
};

async function firstMessage(sender: ChildProcess): Promise<Senders> {
  const gone = once(sender, 'exit').then(([code]) => {
    throw new Error(`the sending process ended with ${code} before it was ready`);
  });
  const [message] = (await Promise.race([once(sender, 'message'), gone])) as [Senders];
  return message;
}

async function lane(kind: Kind, senders: Senders, closers: (() => void)[]): Promise<Lane> {
  const { unixPath, tcpHost, tcpPort } = senders.raw;
  const raw = await rawTransfer(kind === 'unix' ? { path: unixPath } : { host: tcpHost, port: tcpPort }, closers);
  const hostId = kind === 'unix' ? 'here' : 'elsewhere';
  const shoal = shoalTransfer(
    { id: SENDER.id, incarnation: SENDER.incarnation, address: { hostId, ...senders.shoal } },
    closers,
  );
  return { kind, shoal, raw, samples: { shoal: [], raw: [] } };
}

function shoalTransfer(target: PeerTarget, closers: (() => void)[]): Transfer {
  const client = new PeerClient({
    identity: { id: 'receiver', incarnation: '1', fingerprint: FINGERPRINT },
    hostId: 'here',
    secret: SECRET,
    blockBytes: BLOCK_BYTES,
  });
  closers.push(() => client.close());
  const keys: BlockKey[] = benchBlocks(benchBytes()).map(({ key }) => key);
  const memory = new Uint8Array(BLOCKS * BLOCK_BYTES).fill(1);
  const never = new AbortController().signal;
  const sink = {
    place: ({ index }: { index: number }) => blockAt(memory, index),
    done: () => {},
    failed: () => {},
  };
  return async () => {
    const startMs = performance.now();
    const { blocks } = await client.fetch(target, keys, sink, never);
    const seconds = (performance.now() - startMs) / 1000;
    if (blocks !== BLOCKS) throw new Error(`${blocks} of ${BLOCKS} blocks came`);
    return seconds;
  };
}

async function rawTransfer(to: net.NetConnectOpts, closers: (() => void)[]): Promise<Transfer> {
  const buffer = Buffer.alloc(BLOCK_BYTES, 1);
  let left = 0;
  let arrived = () => {};
  const callback = (bytes: number) => {
    left -= bytes;
    if (left === 0) arrived();
    return true;
  };
  const socket = net.connect({ ...to, onread: { buffer, callback } });
  socket.setNoDelay(true);
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  return async () => {
    left = BLOCKS * BLOCK_BYTES;
    const startMs = performance.now();
    const all = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    socket.write('.');
    await all;
    return (performance.now() - startMs) / 1000;
  };
}

/** GB/s, of 10^9 bytes. */
function rate(seconds: number): number {
  return (BLOCKS * BLOCK_BYTES) / seconds / 1e9;
}

function report(lanes: readonly Lane[]): Report {
  return {
    name: 'peer',
    rows: lanes.flatMap(({ kind, samples }) => [
      reportRow(`${kind} peer, digests verified`, 'GB/s', samples.shoal),
      reportRow(`${kind} raw socket`, 'GB/s', samples.raw),
    ]),
    ratios: lanes.map(({ kind, samples }) => ({
      name: `${kind} peer / raw`,
      value: median(samples.shoal) / median(samples.raw),
      bound: { kind: 'at least', value: LEAST_OF_RAW },
    })),
    machine: machineLine(),
  };
}
