import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { hasComeBack, rowOf } from '../views.js';

const WORKERS = 2;
const VICTIM = 'worker-2';
const BACK_MS = 60_000;
const FILES = 5;

/** Programs that clean folders for temporary files take everything that a running fleet has there. */
export const removedFolders: Fault = {
  name: 'removed-folders',
  row: 'the folders of sockets, of NATS and of the disk tier are removed under a fleet, then a worker is killed',
  passesWhen: 'failed requests 0; the worker serves again, and the disk tier is filled again',
  bounds: { ...NO_HARM, serving_ms: atMost(BACK_MS - 1), on_disk_ms: atMost(BACK_MS - 1) },
  needs: [],
  expectedS: 25,
  async run(context) {
    const blocks = join(context.folder, 'blocks');
    // Memory for few blocks, so that the disk tier has work.
    const memory = ['--cache-bytes', '2MiB', '--disk-cache-dir', blocks];
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2', ...memory]);
    const load = context.load(new RecallLoad(fleet, 2, 100, 100));
    const files = () => (existsSync(blocks) ? readdirSync(blocks, { recursive: true, encoding: 'utf8' }) : []);
    const isFilled = () => files().filter((name) => name.endsWith('.kv')).length > FILES;
    await context.until('blocks are on the disk', BACK_MS, isFilled);
    for (const name of readdirSync(context.folder)) rmSync(join(context.folder, name), { recursive: true });
    const { pid } = rowOf(await fleet.workers(), VICTIM);
    process.kill(pid, 'SIGKILL');
    const serving_ms = await context.timeUntil(BACK_MS, () => hasComeBack(fleet, { id: VICTIM, pid }, WORKERS));
    const on_disk_ms = await context.timeUntil(BACK_MS, isFilled);
    return { ...(await context.harm(load)), serving_ms, on_disk_ms };
  },
};
