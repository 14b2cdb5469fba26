import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { openProcessMemory } from '../src/native/process-memory.js';
import { BLOCK_BYTES, BLOCKS, SENDER, type Senders } from './peer-sender.js';
import { peerTransfer, rawTransfer, type Transfer } from './peer-transfers.js';
import {
  type Benchmark,
  type BenchOptions,
  machineLine,
  quotients,
  type Report,
  reportRatio,
  reportRow,
} from './report.js';
import { ScratchFolder } from './scratch-folder.js';

/**
 * Benchmark `peer`: throughput of the peer protocol between two processes, compared with raw sockets.
 *
 * It transfers 16 blocks of 4 MiB over a Unix socket, over TCP, and through shared memory. The peer protocol verifies all digests; the raw
 * Node sockets read the same bytes with `onread` into one large buffer. The contenders alternate, and each round starts with the next one. The
 * ratios are medians over the rounds.
 */

const ROUNDS = 21;
/** Enough rounds for V8 to optimize the code as in a worker that has run for some seconds. */
const WARM_UP_ROUNDS = 20;
const MIN_OF_RAW = 0.7;

interface Contender {
  readonly name: string;
  readonly transfer: Transfer;
  /** Throughput of each round in GB/s (10^9 bytes). */
  readonly samples: number[];
}

/** The contenders over one transport. */
interface Comparison {
  readonly kind: 'unix' | 'tcp' | 'memory';
  readonly peer: Contender;
  readonly kept: Contender;
  readonly overwritten: Contender;
}

export const run: Benchmark = async (options: BenchOptions): Promise<Report> => {
  const rounds = Math.max(options.rounds ?? ROUNDS, 1);
  const scratch = new ScratchFolder('bench');
  const file = fileURLToPath(new URL('./peer-sender.js', import.meta.url));
  const sender = fork(file, ['shoal-bench-peer-sender', scratch.path], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let contenders: Contender[] = [];
  try {
    options.progress('starting the sending process');
    const senders = await firstMessage(sender);
    const comparisons = [await open('unix', senders), await open('tcp', senders), await open('memory', senders)];
    contenders = comparisons.flatMap(contendersOf);
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      if (round >= 0) options.progress(`round ${round + 1} of ${rounds}`);
      for (const comparison of comparisons) await runRound(contendersOf(comparison), round + WARM_UP_ROUNDS);
    }
    for (const { transfer } of contenders) transfer.check();
    for (const { samples } of contenders) samples.splice(0, WARM_UP_ROUNDS);
    return report(comparisons);
  } finally {
    for (const { transfer } of contenders) transfer.close();
    if (sender.connected) {
      sender.disconnect();
      await once(sender, 'exit');
    }
    await scratch.remove();
  }
};

async function firstMessage(sender: ChildProcess): Promise<Senders> {
  return new Promise((resolve, reject) => {
    sender.once('message', (message) => resolve(message as Senders));
    sender.once('exit', (code) => reject(new Error(`the sending process exited with ${code} before it was ready`)));
  });
}

async function open(kind: Comparison['kind'], senders: Senders): Promise<Comparison> {
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

function contendersOf({ peer, kept, overwritten }: Comparison): Contender[] {
  return [peer, kept, overwritten];
}

async function runRound(contenders: readonly Contender[], round: number): Promise<void> {
  for (let turn = 0; turn < contenders.length; turn++) {
    const { transfer, samples } = contenders[(round + turn) % contenders.length]!;
    samples.push((BLOCKS * BLOCK_BYTES) / (await transfer.run()) / 1e9);
  }
}

function report(comparisons: readonly Comparison[]): Report {
  return {
    name: 'peer',
    rows: comparisons.flatMap((comparison) =>
      contendersOf(comparison).map(({ name, samples }) => reportRow(`${comparison.kind} ${name}`, 'GB/s', samples)),
    ),
    ratios: comparisons.flatMap(({ kind, peer, kept, overwritten }) => [
      reportRatio(
        `${kind} peer / raw`,
        quotients(peer.samples, kept.samples),
        kind === 'memory' ? null : { kind: 'at least', value: MIN_OF_RAW },
      ),
      reportRatio(`${kind} peer / raw, bytes overwritten`, quotients(peer.samples, overwritten.samples)),
    ]),
    machine: machineLine(),
  };
}
