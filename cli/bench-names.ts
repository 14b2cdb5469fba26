/** The benchmarks of `shoal bench`, in the order of its help. Most are the module of their name in `bench/`. */
export const BENCH_NAMES = [
  'peer',
  'actor',
  'request',
  'runtime',
  'many',
  'ttft',
  'decode',
  'batch',
  'speculate',
  'structured',
  'serve',
  'kv',
  'hostile',
  'fairness',
  'oracle',
  'audit',
  'device',
  'memory',
  'models',
  'route',
  'tracing',
  'replay',
  'compare',
];

/** The arguments of the benchmarks that read files. */
const FILES: Readonly<Record<string, string>> = { replay: 'FILE', compare: 'BEFORE.json AFTER.json' };

/** What may follow `shoal bench`, in words. */
export function benchArguments(): string {
  const all = BENCH_NAMES.map((name) => [name, FILES[name] ?? []].flat().join(' '));
  return `${all.slice(0, -1).join(', ')}, or ${all.at(-1)}`;
}
