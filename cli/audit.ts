import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { readValues } from '../src/config/config.js';
import type { Values } from '../src/config/options.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { readEntry, type TrailEntry } from '../src/trail/entry.js';
import type { CommandContext } from './context.js';
import { table } from './table.js';

type Choice = Pick<Values, 'tenant' | 'key' | 'requestId' | 'route' | 'decision' | 'since'>;

/** `shoal audit`: shows entries of an audit log, oldest first, from the files of all coordinators that write next to each other. */
export async function audit(context: CommandContext): Promise<number> {
  const values = readValues('audit', context);
  if (values.auditLog === null)
    throw new WrongUsage('--audit-log (SHOAL_AUDIT_LOG): is required; name the file to read');
  const files = await filesOf(values.auditLog);
  if (files.length === 0) throw new WrongUsage(`--audit-log (SHOAL_AUDIT_LOG): there is no file ${values.auditLog}`);
  const sinceMs = values.since === null ? null : Date.now() - values.since;
  const { entries, unreadable } = await read(files, (entry) => chosen(entry, values, sinceMs), values.limit);
  context.io.out(
    values.json ? entries.map((entry) => `${JSON.stringify(entry)}\n`).join('') : `${describe(entries)}\n`,
  );
  if (unreadable > 0) context.io.err(`shoal: ${unreadable} lines are not entries of an audit log\n`);
  return 0;
}

/** The log's files: those of the name, of coordinators' ids after it, those of users' requests and of refusals beside them, and the numbered older ones of each. */
async function filesOf(path: string): Promise<string[]> {
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => []);
  const rest = (name: string) => name.slice(basename(path).length);
  return names
    .filter(
      (name) =>
        name.startsWith(basename(path)) &&
        /^(?:\.[A-Za-z0-9_-]+)?(?:\.(?:requests|refused))?(?:\.\d{1,4})?$/.test(rest(name)),
    )
    .map((name) => join(folder, name));
}

/** The latest `limit` entries that `wanted` takes, by time. */
async function read(files: readonly string[], wanted: (entry: TrailEntry) => boolean, limit: number) {
  let entries: TrailEntry[] = [];
  let unreadable = 0;
  const trim = () => {
    entries = entries.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)).slice(-limit);
  };
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      const entry = line === '' ? null : readEntry(line);
      if (entry === null) unreadable += line === '' ? 0 : 1;
      else if (wanted(entry)) entries.push(entry);
      if (entries.length >= 2 * limit + 1_024) trim();
    }
  }
  trim();
  return { entries, unreadable };
}

function chosen(
  entry: TrailEntry,
  { tenant, key, requestId, route, decision }: Choice,
  sinceMs: number | null,
): boolean {
  if (sinceMs !== null && Date.parse(entry.time) < sinceMs) return false;
  if (tenant !== null && (!('tenant' in entry) || entry.tenant !== tenant)) return false;
  const asks = key !== null || requestId !== null || route !== null || decision !== null;
  if (entry.event !== 'request') return !asks;
  return (
    (key === null || entry.key === key) &&
    (requestId === null || entry.request_id === requestId) &&
    (route === null || (entry.route ?? '').includes(route)) &&
    (decision === null || entry.decision === decision)
  );
}

function describe(entries: readonly TrailEntry[]): string {
  if (entries.length === 0) return 'no entries';
  return table(
    ['time', 'tenant', 'key', 'address', 'what', 'decision', 'tokens (cached)', 'request'],
    entries.map(rowOf),
  );
}

function rowOf(entry: TrailEntry): string[] {
  const { time } = entry;
  if (entry.event !== 'request')
    return [time, 'tenant' in entry ? (entry.tenant ?? '') : '', '', '', happened(entry), '', '', ''];
  const { tenant, key, address, method, route, target, decision, status, code, tokens, request_id } = entry;
  const path = route === null ? '(no route)' : target === null ? route : route.replace(':id', target);
  const counted = tokens === null ? '' : `${tokens.prompt} + ${tokens.generated} (${tokens.cached})`;
  const what = decision === 'allowed' ? decision : `${decision}: ${status}${code === null ? '' : ` ${code}`}`;
  return [time, shortened(tenant), key ?? '', address ?? '', `${method} ${path}`, what, counted, request_id];
}

function happened(entry: Exclude<TrailEntry, { event: 'request' }>): string {
  switch (entry.event) {
    case 'refused_without_entry':
      return `${entry.count} more requests ${entry.key === null ? 'without a known key' : `of the key ${entry.key}`} were refused`;
    case 'entries_lost':
      return `${entry.count} entries were lost: the disk did not take them`;
    case 'worker_quarantined':
      return `worker ${entry.worker} was quarantined by ${entry.by.join(', ')}`;
    case 'prompt_quarantined':
      return 'a prompt that crashes workers was quarantined';
    case 'adapter_loaded':
      return `the adapter ${entry.adapter} is served, with fingerprint ${entry.fingerprint}`;
    case 'adapter_unloaded':
      return `the adapter ${entry.adapter} is served no longer`;
    case 'purge_complete':
      return `${entry.purge} is complete: ${entry.blocks} blocks were dropped`;
  }
}

/** A tenant that has no name is a digest of its key. */
function shortened(tenant: string | null): string {
  return tenant !== null && /^[0-9a-f]{64}$/.test(tenant) ? tenant.slice(0, 12) : (tenant ?? '');
}
