import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Completion } from '../../fleet/fleet-api.js';
import { atLeast, atMost, type Fault } from '../fault.js';
import { Prefixes } from '../prefixes.js';

const PREFIXES = 12;
const LONGEST_MS = 10_000;
const GIVEN_UP_MS = 30_000;

/** Block files become named pipes, whose readers wait for ever. */
export const hungDisk: Fault = {
  name: 'hung-disk',
  row: 'a disk or mount that hangs: every block file is a FIFO',
  passesWhen: 'requests continue without that tier within its deadline; health says so',
  bounds: {
    failed_requests: atMost(0),
    wrong_answers: atMost(0),
    pipes: atLeast(1),
    slowest_ms: atMost(LONGEST_MS),
    health_says_so: atLeast(1),
  },
  needs: ['fifos'],
  expectedS: 60,
  async run(context) {
    const folder = join(context.folder, 'blocks');
    // Memory for few blocks, so that most of them are on the disk alone.
    const args = ['--workers', '1', '--cache-bytes', '2MiB', '--disk-cache-dir', folder];
    const fleet = await context.up(args);
    const prefixes = await Prefixes.compute(fleet, PREFIXES, { seed: 10_000 });
    const at = join(folder, 'worker-1');
    const files = () => readdirSync(at, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.kv'));
    await context.until('blocks are on the disk', 30_000, () => files().length > PREFIXES);
    const names = files();
    for (const name of names) {
      rmSync(join(at, name));
      execFileSync('mkfifo', [join(at, name)], { stdio: 'pipe' });
    }
    let slowest_ms = 0;
    let wrong_answers = 0;
    let failed_requests = 0;
    for (const { prompt, answer } of prefixes.prompts) {
      const startMs = performance.now();
      const asked = fleet.complete({ prompt }).catch((error: unknown) => void context.note(String(error)));
      const said = await context.orLate(GIVEN_UP_MS, asked);
      slowest_ms = Math.max(slowest_ms, performance.now() - startMs);
      // Later requests would wait as long.
      if (said === 'late') break;
      if (!said) failed_requests++;
      else if (textOf(said) !== answer) wrong_answers++;
    }
    const said = await (await fetch(`${fleet.url}/health`)).text();
    const health_says_so = /disk/.test(said) ? 1 : 0;
    for (const name of names) rmSync(join(at, name), { force: true });
    return { failed_requests, wrong_answers, pipes: names.length, slowest_ms, health_says_so };
  },
};

function textOf({ choices }: Completion): string {
  return choices[0]!.text.trim();
}
