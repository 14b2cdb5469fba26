import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

/** The chart, as helm renders it. */

export const deployed = (name: string) => fileURLToPath(new URL(`../../../../deploy/${name}`, import.meta.url));
export const CHART = deployed('helm/shoal');
export const hasHelm = spawnSync('helm', ['version']).status === 0;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string> };
  readonly spec?: Record<string, unknown>;
}

export function parse(text: string): Manifest[] {
  const documents = parseAllDocuments(text);
  if ('empty' in documents) return [];
  return documents.map((document) => document.toJS() as Manifest | null).filter((manifest) => manifest !== null);
}

/**
 * Renders the release `shoal` with these values.
 * @throws Error with what helm says
 */
export function render(...values: readonly string[]): Manifest[] {
  return renderAs('shoal', ...values.flatMap((value) => ['--set', value]));
}

/** Renders a release with these flags of helm. */
export function renderAs(release: string, ...flags: readonly string[]): Manifest[] {
  const { status, stdout, stderr } = spawnSync(
    'helm',
    ['template', release, CHART, '-n', 'shoal', '--kube-version', '1.27', ...flags],
    { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 },
  );
  if (status !== 0) throw new Error(stderr);
  return parse(stdout);
}
