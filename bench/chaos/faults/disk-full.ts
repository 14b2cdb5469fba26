import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, type Fault, NO_HARM } from '../fault.js';
import { Prefixes } from '../prefixes.js';

/** The disk tier has no room at all. */
export const diskFull: Fault = {
  name: 'disk-full',
  row: 'disk full: the disk tier is on a tmpfs of 64 KiB',
  passesWhen: 'continues in memory, and says so; failed requests 0',
  bounds: { ...NO_HARM, cached_share: atLeast(0.5), said_so: atLeast(1) },
  needs: ['mounts'],
  expectedS: 15,
  async run(context) {
    const folder = join(context.folder, 'blocks');
    for (const worker of ['worker-1', 'worker-2']) {
      const at = join(folder, worker);
      mkdirSync(at, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', at], { stdio: 'pipe' });
      context.life.use(at, () => execFileSync('umount', ['-l', at], { stdio: 'pipe' }));
    }
    const fleet = await context.up(['--workers', '2', '--disk-cache-dir', folder]);
    const load = context.load(new RecallLoad(fleet, 2, 100));
    await Prefixes.compute(fleet, 8, { seed: 10_000 });
    const { cachedShare } = await load.during(context.pause(4_000));
    const said = await context.timeUntil(20_000, () => /the disk takes no blocks/.test(fleet.log));
    return { ...(await context.harm(load)), cached_share: cachedShare, said_so: said < 20_000 ? 1 : 0 };
  },
};
