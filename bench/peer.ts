import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openProcessMemory } from '../src/native/process-memory.js';
import { BLOCK_BYTES, BLOCKS, SENDER, type Senders } from './peer-sender.js';
import { peerTransfer, rawTransfer, type Transfer } from './peer-transfers.js';
import { type Benchmark, type BenchOptions, machineLine, median, type Report, reportRow } from './report.js';

/**
 * 16 blocks of 4 MiB from one process to another, over a Unix socket, over TCP, and out of memory that the two share: fetched by the peer protocol
 * with every digest verified, beside raw Node sockets of the same kind that read the same bytes with `onread` into one large buffer. They take turns, and each round
 * begins with the next. The ratios are medians over the rounds.
 */

const ROUNDS = 21;
/** So many that the code is as the engine leaves it in a worker that has run for some seconds. */
const WARM_UP_ROUNDS = 20;
const LEAST_OF_RAW = 0.7;

interface Contender {
  readonly name: string;
  readonly transfer: Transfer;
  /** GB/s, of 10^9 bytes, a round each. */
  readonly samples: number[];
}

/** All that goes over one kind of socket. */
interface Lane {
  readonly kind: 'unix' | 'tcp' | 'memory';
  readonly peer: Contender;
  readonly kept: Contender;
  readonly overwritten: Contender;
}

export const run: Benchmark = async (options: BenchOptions): Promise<Report> => {
  const rounds = Math.max(options.rounds ?? ROUNDS, 1);
  const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const file = fileURLToPath(new URL('./peer-sender.js', import.meta.url));
  const sender = fork(file, ['shoal-bench-peer-sender', folder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let contenders: Contender[] = [];
  try {
    options.progress('starting the sending process');
    const senders = await firstMessage(sender);
    const lanes = [await openLane('unix', senders), await openLane('tcp', senders), await openLane('memory', senders)];
    contenders = lanes.flatMap(contendersOf);
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      if (round >= 0) options.progress(`round ${round + 1} of ${rounds}`);
      for (const lane of lanes) await takeTurns(contendersOf(lane), round + WARM_UP_ROUNDS);
    }
    for (const { transfer } of contenders) transfer.check();
    for (const { samples } of contenders) samples.splice(0, WARM_UP_ROUNDS);
    return report(lanes);
  } finally {
    for (const { transfer } of contenders) transfer.close();
    if (sender.connected) {
      sender.disconnect();
      await once(sender, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  }
};

async function firstMessage(sender: ChildProcess): Promise<Senders> {
  return new Promise((resolve, reject) => {
    sender.once('message', (message) => resolve(message as Senders));
    sender.once('exit', (code) => reject(new Error(`the sending process ended with ${code} before it was ready`)));
  });
}

async function openLane(kind: Lane['kind'], senders: Senders): Promise<Lane> {
  const { unixPath, tcpHost, tcpPort } = senders.raw;
  const to = kind === 'tcp' ? { host: tcpHost, port: tcpPort } : { path: unixPath };
  const { id, incarnation } = SENDER;
  const target = { id, incarnation, generation: 0, address: { hostId: 'here', ...senders.shoal } };
  const contender = (name: string, transfer: Transfer): Contender => ({ name, transfer, samples: [] });
  return {
    kind,
    peer: contender(
      'peer, digests verified',
      peerTransfer(target, kind === 'tcp' ? 'elsewhere' : 'here', kind === 'memory' ? openProcessMemory : undefined),
    ),
    kept: contender('raw socket', await rawTransfer(to, true)),
    overwritten: contender('raw socket, bytes overwritten', await rawTransfer(to, false)),
  };
}

function contendersOf({ peer, kept, overwritten }: Lane): Contender[] {
  return [peer, kept, overwritten];
}

async function takeTurns(contenders: readonly Contender[], round: number): Promise<void> {
  for (let turn = 0; turn < contenders.length; turn++) {
    const { transfer, samples } = contenders[(round + turn) % contenders.length]!;
    samples.push((BLOCKS * BLOCK_BYTES) / (await transfer.run()) / 1e9);
  }
}

function report(lanes: readonly Lane[]): Report {
  const ratio = (over: Contender, under: Contender) => median(over.samples.map((rate, i) => rate / under.samples[i]!));
  return {
    name: 'peer',
    rows: lanes.flatMap((lane) =>
      contendersOf(lane).map(({ name, samples }) => reportRow(`${lane.kind} ${name}`, 'GB/s', samples)),
    ),
    ratios: lanes.flatMap(({ kind, peer, kept, overwritten }) => [
      {
        name: `${kind} peer / raw`,
        value: ratio(peer, kept),
        bound: kind === 'memory' ? null : { kind: 'at least', value: LEAST_OF_RAW },
      },
      { name: `${kind} peer / raw, bytes overwritten`, value: ratio(peer, overwritten), bound: null },
    ]),
    machine: machineLine(),
  };
}
