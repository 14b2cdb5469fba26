import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { benchmarksPage, type MeasuredBenchmark } from './benchmarks-page.js';
import type { Report } from './report.js';

/**
 * `npm run bench:all [-- NAME…]`: runs all benchmarks, or those named, one after another, and writes docs/BENCHMARKS.md with its charts. The results
 * are kept beside the charts, so that one benchmark can be run again alone.
 */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const CHARTS = `${DOCS}benchmarks/`;
const RESULTS = `${CHARTS}results.json`;

/** In the order of the page. */
const BENCHMARKS: Readonly<Record<string, { readonly args: readonly string[]; readonly about: string }>> = {
  ttft: {
    args: ['ttft'],
    about:
      'Time to the first token of 1,024 shared and 32 own tokens, as a client sees it: cold, and with the prefix in the worker or in a peer.',
  },
  decode: { args: ['decode'], about: 'Tokens per second of one stream through a fleet, beside the bare graph.' },
  batch: {
    args: ['batch'],
    about: 'Tokens per second of many streams, and the gaps that an arriving prompt makes in them.',
  },
  speculate: {
    args: ['speculate'],
    about:
      'Tokens per second of one answer with guessed tokens (`--speculate`), where guesses are right and where they are not.',
  },
  serve: {
    args: ['serve', '--scale-percent', '50', '--requests', '60', '--rounds', '7'],
    about:
      'A service that repeats ten prefixes, by eight clients: placement by cost beside placements that know no cache.',
  },
  request: {
    args: ['request'],
    about: 'What a coordinator costs per request, beside an HTTP server that makes one request over NATS.',
  },
  peer: { args: ['peer'], about: 'Blocks from worker to worker, verified, beside raw sockets.' },
  actor: { args: ['actor'], about: 'Calls between actors over each route, beside bare echoes of the same bytes.' },
  route: { args: ['route'], about: 'Decisions of placement and operations on the index, by workers and blocks.' },
  audit: { args: ['audit'], about: 'What computing a share of the hits again costs.' },
};

async function measure(name: string): Promise<MeasuredBenchmark | null> {
  const { args, about } = BENCHMARKS[name]!;
  const command = `shoal bench ${args.join(' ')}`;
  process.stderr.write(`\n${command}\n`);
  const child = spawn(process.execPath, [CLI, 'bench', ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const out = await text(child.stdout);
  try {
    return { command, about, date: new Date().toISOString(), report: JSON.parse(out) as Report };
  } catch {
    process.stderr.write(`${command} printed no report; its earlier results are kept\n`);
    return null;
  }
}

function known(): Record<string, MeasuredBenchmark> {
  try {
    return JSON.parse(readFileSync(RESULTS, 'utf8')) as Record<string, MeasuredBenchmark>;
  } catch {
    return {};
  }
}

function write(results: Readonly<Record<string, MeasuredBenchmark>>): void {
  mkdirSync(CHARTS, { recursive: true });
  for (const file of readdirSync(CHARTS)) if (file.endsWith('.svg')) rmSync(`${CHARTS}${file}`);
  const ordered = Object.keys(BENCHMARKS).flatMap((name) => results[name] ?? []);
  for (const { path, content } of benchmarksPage(ordered)) writeFileSync(`${DOCS}${path}`, content);
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 1)}\n`);
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !(name in BENCHMARKS));
  if (unknown !== undefined) {
    process.stderr.write(`there is no benchmark ${unknown} here; there are ${Object.keys(BENCHMARKS).join(', ')}\n`);
    return 2;
  }
  const results = known();
  for (const name of names.length > 0 ? names : Object.keys(BENCHMARKS)) {
    const measured = await measure(name);
    if (measured) results[name] = measured;
    write(results);
  }
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
