import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { parseOpenFileLimit } from '../../../src/open-files.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import type { UpFleet } from '../../fleet/up-fleet.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { hasComeBack, rowOf } from '../views.js';

const WORKERS = 3;
const LIMITED = 'worker-1';
const VICTIM = 'worker-2';
const BACK_MS = 60_000;
const SAID_MS = 30_000;
/** Files of a process that it may close by itself. */
const CLOSED_SOON = 8;

/** Processes that can open no more files, and so accept and dial no connections. */
export const noFiles: Fault = {
  name: 'no-files',
  row: 'no file descriptor is left in a worker while another one is killed, then none in the coordinator',
  passesWhen:
    'failed requests 0, except connections that the coordinator could not accept; both processes say why, and serve again',
  bounds: {
    ...NO_HARM,
    said_so: atLeast(2),
    replaced_processes: atMost(0),
    restored_ms: atMost(BACK_MS - 1),
    refused: atLeast(1),
  },
  needs: ['limits'],
  expectedS: 45,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2']);
    const load = context.load(new RecallLoad(fleet, 2, 100, 100));
    await load.more(20);
    const before = await processes(fleet);
    let said_so = await withoutFiles(context, fleet, before.worker, async () => {
      const { pid } = rowOf(await fleet.workers(), VICTIM);
      process.kill(pid, 'SIGKILL');
      await context.until('the killed worker serves again', BACK_MS, () =>
        hasComeBack(fleet, { id: VICTIM, pid }, WORKERS),
      );
      await load.more(20);
    });
    const [last] = load.prompts().slice(-1);
    const harm = await context.harm(load);
    let refused = 0;
    said_so += await withoutFiles(context, fleet, before.coordinator, async () => {
      await fleet.complete({ prompt: last }).catch(() => refused++);
    });
    await context.until('the coordinator answers', BACK_MS, async () => (await fleet.health()).http === 200);
    const restored_ms = await context.timeUntil(BACK_MS, async () => (await fleet.copies(last!)).every((n) => n >= 2));
    const after = await processes(fleet);
    const replaced = [before.worker !== after.worker, before.coordinator !== after.coordinator];
    return { ...harm, said_so, refused, restored_ms, replaced_processes: replaced.filter(Boolean).length };
  },
};

async function processes(fleet: UpFleet): Promise<{ readonly worker: number; readonly coordinator: number }> {
  const { workers, coordinators } = await fleet.fleet();
  return { worker: rowOf(workers, LIMITED).pid, coordinator: coordinators[0]!.pid };
}

/** Takes all free file descriptors of a process until `act` is done and the process has said that it lacks them. 1 if it has, else 0. */
async function withoutFiles(
  context: ChaosContext,
  fleet: UpFleet,
  pid: number,
  act: () => Promise<void>,
): Promise<number> {
  const limit = parseOpenFileLimit(readFileSync(`/proc/${pid}/limits`, 'utf8'))!;
  const sayings = () => fleet.log.split('can open no more files').length;
  const before = sayings();
  setLimit(pid, readdirSync(`/proc/${pid}/fd`).length - CLOSED_SOON);
  try {
    await act();
    return (await context.timeUntil(SAID_MS, () => sayings() > before)) < SAID_MS ? 1 : 0;
  } finally {
    setLimit(pid, limit);
  }
}

function setLimit(pid: number, files: number): void {
  execFileSync('prlimit', [`--pid=${pid}`, `--nofile=${files}:`], { stdio: 'pipe' });
}
