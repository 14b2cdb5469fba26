import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { RecallLoad } from '../../fleet/recall-load.js';
import { quantile } from '../../streams.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { longRequest } from '../streams.js';

const READERS = 1_000;
const TOKENS = 16;
const MEASURED = 300;
const CLIENTS = 2;
const KIB_PER_MIB = 1024;

/** Very many clients open streams and do not read them. */
export const slowReaders: Fault = {
  name: 'slow-readers',
  row: '1,000 slow readers of streams, which read nothing after their first bytes',
  passesWhen: "others' p99 at most +10 %, once the streams are computed; memory bounded: 256 MiB more at most",
  bounds: {
    ...NO_HARM,
    open_streams: atLeast(READERS * 0.99),
    p99_over_before: atMost(1.1),
    growth_mib: atMost(256),
  },
  needs: [],
  expectedS: 120,
  async run(context) {
    const fleet = await context.up(['--workers', '2', '--max-waiting', '512', '--sequences', '8']);
    const { coordinators } = await fleet.fleet();
    const { pid } = coordinators[0]!;
    const load = context.load(new RecallLoad(fleet, CLIENTS, 100));
    await load.more(50);
    const before = await p99Of(load);
    const memoryMiB = residentMiB(pid);
    const readers = await openReaders(context, fleet.url);
    await context.until('the streams are computed', 300_000, async () => (await busy(fleet)) <= CLIENTS);
    const during = await p99Of(load);
    const growth_mib = Math.max(0, residentMiB(pid) - memoryMiB);
    const open_streams = readers.filter((reader) => !reader.errored).length;
    for (const reader of readers) reader.destroy();
    return {
      ...(await context.harm(load)),
      open_streams,
      p99_before_ms: before,
      p99_ms: during,
      p99_over_before: during / before,
      growth_mib,
    };
  },
};

async function busy(fleet: Awaited<ReturnType<ChaosContext['up']>>): Promise<number> {
  return (await fleet.workers()).reduce((sum, { running, waiting }) => sum + running + waiting, 0);
}

async function p99Of(load: RecallLoad): Promise<number> {
  const from = load.answers.length;
  await load.more(MEASURED);
  return quantile(
    load.answers.slice(from).map(({ startMs, endMs }) => endMs - startMs),
    0.99,
  );
}

/** Opens the streams, and reads no more than what comes with the headers. */
async function openReaders(context: ChaosContext, url: string): Promise<IncomingMessage[]> {
  const open: IncomingMessage[] = [];
  let failed = 0;
  for (let i = 0; i < READERS; i++) {
    const body = JSON.stringify({ ...longRequest(i % 50, TOKENS), seed: i, stream: true, logprobs: 5 });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    request(`${url}/v1/completions`, { method: 'POST', agent: false, headers }, (response) => {
      response.on('error', () => undefined);
      response.pause();
      if (response.statusCode === 200) open.push(response);
      else failed++;
    })
      .on('error', () => failed++)
      .end(body);
    if (i % 50 === 49) await context.until('the streams are open', 120_000, () => open.length + failed > i - 200);
  }
  await context.until('the streams are open', 300_000, () => open.length + failed === READERS);
  return open;
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / KIB_PER_MIB;
}
