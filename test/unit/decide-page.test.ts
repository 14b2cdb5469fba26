import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { expectParts } from '../support/marked-page.js';

const pageOf = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
const benchmarks = readFileSync(pageOf('BENCHMARKS.md'), 'utf8');

/** What DECIDE.md cites: a benchmark, its rows, and what they say. */
const CITED: readonly (readonly [says: string, benchmark: string, rows: readonly string[]])[] = [
  [
    'A prefix of 1,024 tokens saves most of the time to the first token: computed, on the worker itself, on a peer',
    'ttft',
    ['cold', 'local hit', 'remote hit'],
  ],
  ['So much sooner is the first token with the prefix on a peer', 'ttft', ['cold / remote hit']],
  [
    'A cache of the engine itself does better on one device: a hit of shoal against a hit of onnxruntime-genai',
    'ttft',
    ['local hit / genai'],
  ],
  [
    'A peer gives blocks over TCP at this rate; a network below it is the limit',
    'peer',
    ['tcp peer, digests verified'],
  ],
  [
    'After the first token no prefix helps: one stream decodes at this rate',
    'decode',
    ['one stream through the fleet'],
  ],
  [
    'The choice of a worker is no limit: decisions with 8 and with 512 workers',
    'route',
    ['decisions, 8 workers', 'decisions, 512 workers'],
  ],
  ['The index of a coordinator costs so much', 'route', ['index']],
];

/** The median, or the ratio, of a row. @throws Error if the page lacks it */
function figure(benchmark: string, row: string): string {
  const section = benchmarks.split(/^## /m).find((text) => text.startsWith(`${benchmark}\n`)) ?? '';
  const line = section.split('\n').find((each) => each.startsWith(`| ${row} | `));
  if (line === undefined) throw new Error(`docs/BENCHMARKS.md: ${benchmark} has no row "${row}"`);
  return line.split(' | ')[1]!;
}

it('the numbers of docs/DECIDE.md are those of docs/BENCHMARKS.md (npm run docs writes them)', async () => {
  const rows = CITED.map(
    ([says, benchmark, names]) =>
      `| ${says} | ${names.map((name) => figure(benchmark, name)).join(', ')} | \`shoal bench ${benchmark}\`: ${names.join('; ')} |`,
  );
  await expectParts(pageOf('DECIDE.md'), {
    benchmarks: ['| what it says | measured | by |', '| --- | --- | --- |', ...rows].join('\n'),
  });
  expect(() => figure('ttft', 'nothing')).toThrow('has no row');
});
