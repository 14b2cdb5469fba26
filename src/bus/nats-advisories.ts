/** Known weaknesses of nats-server that concern a fleet, from https://advisories.nats.io. None of them opens what members seal. */

interface NatsAdvisory {
  readonly id: string;
  readonly what: string;
  /** The first affected version, and for each line of versions the first that is fixed. */
  readonly since: string;
  readonly fixed: readonly string[];
}

const ADVISORIES: readonly NatsAdvisory[] = [
  {
    id: 'CVE-2023-47090',
    what: 'with only a system account configured, clients need no credentials',
    since: '2.2.0',
    fixed: ['2.9.23', '2.10.2'],
  },
  {
    id: 'CVE-2025-30215',
    what: 'users who may publish to $JS.> can purge and move streams of all accounts',
    since: '2.2.0',
    fixed: ['2.10.27', '2.11.1'],
  },
  {
    id: 'CVE-2026-33249',
    what: 'users can have trace messages sent to subjects that they may not publish to',
    since: '2.11.0',
    fixed: ['2.11.15', '2.12.6'],
  },
  {
    id: 'GHSA-38x3-76xf-cq45',
    what: 'with no_auth_user configured, peers pass as servers of the cluster without credentials',
    since: '2.2.0',
    fixed: ['2.11.16', '2.12.7'],
  },
];

/** The weaknesses of a version such as `2.9.10`. A distribution may have fixed them in its package without another version. @internal exported for tests. */
export function natsAdvisories(version: string): readonly NatsAdvisory[] {
  const own = numbersOf(version);
  return ADVISORIES.filter(({ since, fixed }) => {
    if (compare(own, numbersOf(since)) < 0) return false;
    const fixes = fixed.map(numbersOf);
    const ofLine = fixes.find((fix) => fix[0] === own[0] && fix[1] === own[1]);
    // A line without a fixed version of its own is older than all that have one, or newer.
    return compare(own, ofLine ?? fixes[0]!) < 0;
  });
}

/** One sentence for people about a version's weaknesses; null if none is known. */
export function natsWarning(version: string): string | null {
  const found = natsAdvisories(version);
  if (found.length === 0) return null;
  const list = found.map(({ id, what }) => `${id} (${what})`).join(', ');
  return `nats-server ${version} has known weaknesses: ${list}; install a newer one, unless its package is patched`;
}

function numbersOf(version: string): number[] {
  return version.split(/[.-]/, 3).map(Number);
}

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((number, i) => number !== other[i]);
  return at === -1 ? 0 : one[at]! - other[at]!;
}
