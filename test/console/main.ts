import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UpFleet } from '../../bench/fleet/up-fleet.js';
import { Browsers } from './browsers.js';
import { costOfPages } from './cost.js';
import { firstPaint } from './first-paint.js';
import { frameTimes } from './frames.js';
import { pageMemory } from './memory.js';
import { takePictures } from './pictures.js';

/** The command of the console's developers: takes the pictures of the docs, and measures what the console costs. */

const USAGE = `usage: npm run console-lab -- pictures [--out FOLDER]
       npm run console-lab -- frames [--workers 64] [--rate 200] [--seconds 10] [--rounds 4]
       npm run console-lab -- first-paint [--rounds 4]
       npm run console-lab -- memory [--workers 64] [--rate 200] [--minutes 10] [--speed 10]
       npm run console-lab -- cost [--pages 10] [--requests 90] [--rounds 40]`;

const CLI = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

async function main(args: readonly string[]): Promise<number> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string', default: 'docs/pictures' },
      workers: { type: 'string', default: '64' },
      rate: { type: 'string', default: '200' },
      seconds: { type: 'string', default: '10' },
      pages: { type: 'string', default: '10' },
      requests: { type: 'string', default: '90' },
      rounds: { type: 'string' },
      minutes: { type: 'string', default: '10' },
      speed: { type: 'string', default: '10' },
    },
  });
  const [what] = positionals;
  const seconds = Number(values.seconds);
  switch (what) {
    case 'pictures':
      mkdirSync(values.out, { recursive: true });
      await withFleet(['--workers', '4', '--allow-chaos'], (fleet) =>
        withBrowsers((browsers) => takePictures(browsers, fleet, values.out)),
      );
      return 0;
    case 'frames': {
      const feed = { workers: Number(values.workers), rate: Number(values.rate) };
      const options = { ...feed, seconds, rounds: Number(values.rounds ?? 4) };
      await withBrowsers(async (browsers) => print(await frameTimes(browsers, options)));
      return 0;
    }
    case 'first-paint':
      await withFleet(['--workers', '1'], ({ url }) =>
        withBrowsers(async (browsers) => print(await firstPaint(browsers, url, Number(values.rounds ?? 4)))),
      );
      return 0;
    case 'memory': {
      const [workers, rate] = [Number(values.workers), Number(values.rate)];
      const load = { workers, rate, minutes: Number(values.minutes), speed: Number(values.speed) };
      await withBrowsers(async (browsers) => print(await pageMemory(browsers, load)));
      return 0;
    }
    case 'cost': {
      const [pages, rounds] = [Number(values.pages), Number(values.rounds ?? 40)];
      const options = { pages, rounds, requests: Number(values.requests) };
      await withFleet(['--workers', '2'], async (fleet) => print(await costOfPages(fleet, options)));
      return 0;
    }
    default:
      process.stderr.write(`${USAGE}\n`);
      return 2;
  }
}

async function withBrowsers(use: (browsers: Browsers) => Promise<void>): Promise<void> {
  const browsers = await Browsers.open();
  try {
    await use(browsers);
  } finally {
    await browsers.close();
  }
}

async function withFleet(args: readonly string[], use: (fleet: UpFleet) => Promise<void>): Promise<void> {
  const fleet = await UpFleet.start(CLI, args);
  try {
    await use(fleet);
  } finally {
    await fleet.stop();
  }
}

function print(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
}

process.exitCode = await main(process.argv.slice(2));
