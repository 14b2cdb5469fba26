import { connect } from 'node:net';
import { packFrame } from '../../../src/peer/wire/frame.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { probeOffsets } from '../offset-probes.js';
import { Prefixes } from '../prefixes.js';
import { residentMib } from '../resident.js';
import type { WireCondition } from '../wires.js';

const STRANGERS = 200;
const PREFIXES = 12;
const NOTES = 64;
const CLOSED_WITHIN_MS = 5_000;
const HELLO = 1;

/** Bytes between workers are flipped and cut off, and strangers send frames with wrong lengths. */
export const corruptFrame: Fault = {
  name: 'corrupt-frame',
  row: 'one flipped byte in any field of a frame; truncation at any offset; oversized lengths',
  passesWhen: 'refused, counted, connection closed, nothing allocated beyond the frame limit',
  bounds: {
    ...NO_HARM,
    offsets_probed: atLeast(100),
    spoilt_but_answered: atMost(0),
    failures_counted: atLeast(1),
    connections_left_open: atMost(0),
    processes_ended: atMost(0),
    growth_mib: atMost(64),
  },
  needs: ['addresses'],
  expectedS: 45,
  async run(context) {
    const fleet = await context.members({ workers: 2, replicas: 1, proxied: true });
    const [a, b] = fleet.workerIds as [string, string];
    const prefixes = await Prefixes.compute(fleet.api, PREFIXES, { seed: 10_000, notes: NOTES, worker: a });
    const load = context.load(new RecallLoad(fleet.api, 2, 100));
    const { random } = context;
    const conditions: readonly WireCondition[] = [
      { kind: 'corrupt', everyBytes: 100_000, random },
      { kind: 'corrupt', everyBytes: 400, random },
      { kind: 'truncate', mostBytes: 300_000, random },
      { kind: 'truncate', mostBytes: 800, random },
    ];
    let wrong = 0;
    for (const condition of conditions) {
      context.progress(JSON.stringify({ ...condition, random: undefined }));
      fleet.wires.setBoth(a, b, condition);
      wrong += await prefixes.wrong(b);
    }
    fleet.wires.heal();
    context.progress('spoiling every offset of an exchange');
    const probed = await probeOffsets(fleet, a);
    fleet.wires.heal();
    const pids = (await fleet.api.workers()).map(({ pid }) => pid);
    const before = residentMib(pids);
    const connections_left_open = await strangers(
      context,
      fleet.workerIds.map((id) => fleet.portOf(id)),
    );
    const growth_mib = Math.max(0, residentMib(pids) - before);
    const harm = await context.harm(load);
    const failures_counted = await fleet.sum(/^shoal_(peer_fetch|integrity)_failures_total/);
    const processes_ended = [...fleet.members.values()].filter(({ alive }) => !alive).length;
    const wrong_answers = harm.wrong_answers! + wrong;
    return { ...harm, wrong_answers, ...probed, failures_counted, connections_left_open, processes_ended, growth_mib };
  },
};

/** Sends broken frames to the workers. Resolves with the number of connections that stay open. */
async function strangers(context: ChaosContext, ports: readonly number[]): Promise<number> {
  const open = await Promise.all(
    Array.from({ length: STRANGERS }, () => closesAfter(brokenFrame(context), context.pick(ports))),
  );
  return open.filter((closed) => !closed).length;
}

/** A frame whose length is over the bound, with valid checksums; a truncated greeting; or one with a flipped bit. */
function brokenFrame({ random }: ChaosContext): Buffer {
  const kind = random.below(3);
  const oversized = packFrame(HELLO, 0, new Uint8Array(0), 2 ** (20 + random.below(12)) - 1);
  if (kind === 0) return Buffer.from(oversized);
  const frame = Buffer.from(packFrame(HELLO, 0, random.bytes(100), 0));
  if (kind === 1) return frame.subarray(0, random.below(frame.byteLength));
  frame[random.below(frame.byteLength)]! ^= 1 << random.below(8);
  return frame;
}

function closesAfter(bytes: Buffer, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(false);
    }, CLOSED_WITHIN_MS);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(true);
    });
    socket.resume();
    socket.write(bytes);
  });
}
