import { createHash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { GRANT_FIELDS } from '../../../src/config/grants.js';
import { parseKeysFile } from '../../../src/config/keys-file.js';

const SECRET = 'a-secret-of-enough-characters';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const FIELDS = `the fields are ${[...Object.keys(GRANT_FIELDS), 'id', 'secret', 'secret_sha256'].join(', ')}`;

const parse = (text: string) => parseKeysFile(text, 'keys.yaml');
const fault = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
};

describe('a keys file', () => {
  it('gives each key its tenant, role, models, limits, priority and salt scope', () => {
    const [key] = parse(`
keys:
  - id: acme-web
    secret: ${SECRET}
    tenant: acme
    role: operator
    models: [recall, other/model]
    limits: { requests_per_minute: 600, burst: 20, tokens_per_minute: 90000, concurrent: 4, tokens_per_day: 1000000 }
    priority: 3
    salt_scope: key
`);
    expect(key).toEqual({
      id: 'acme-web',
      secretSha256: sha256(SECRET),
      tenant: 'acme',
      role: 'operator',
      models: ['recall', 'other/model'],
      limits: {
        requestsPerMinute: 600,
        burstRequests: 20,
        tokensPerMinute: 90_000,
        concurrentRequests: 4,
        tokensPerDay: 1_000_000,
      },
      priority: 3,
      saltScope: 'key',
      shares: [],
      publishes: [],
    });
  });

  it('may be JSON, hold only digests, and leave out what has a default', () => {
    const digest = sha256(SECRET).toUpperCase();
    const [key] = parse(JSON.stringify({ keys: [{ id: 'a', secret_sha256: digest, tenant: 't' }] }));
    expect(key).toMatchObject({
      secretSha256: sha256(SECRET),
      role: 'user',
      models: null,
      priority: 1,
      saltScope: 'tenant',
    });
    expect(key!.limits).toMatchObject({ requestsPerMinute: null, concurrentRequests: null });
  });

  it('may have no keys yet', () => {
    expect(parse('keys: []')).toEqual([]);
  });

  const entry = (fields: string) =>
    `keys:\n  - id: first\n    secret: ${SECRET}\n    tenant: t\n  - id: second\n${fields}`;
  const faults: [string, string, string][] = [
    [
      'a short secret',
      '    secret: short\n    tenant: t',
      'keys.yaml:6: keys[1].secret: must have at least 16 characters; shoal key makes one',
    ],
    [
      'an unknown role',
      `    secret: ${SECRET}2\n    tenant: t\n    role: admin`,
      'keys.yaml:8: keys[1].role: Invalid option: expected one of "user"|"operator"|"metrics"',
    ],
    ['no secret', '    tenant: t', 'keys.yaml:5: keys[1]: must have exactly one of secret and secret_sha256'],
    [
      'an unknown field',
      `    secret: ${SECRET}2\n    tenant: t\n    rolle: user`,
      `keys.yaml:8: keys[1]: has an unknown field at column 5; ${FIELDS}`,
    ],
    [
      'the same secret twice',
      `    secret: ${SECRET}\n    tenant: t`,
      'keys.yaml:5: keys[1]: must have a secret of its own; keys[0] has the same',
    ],
    [
      'a limit of zero',
      `    secret: ${SECRET}2\n    tenant: t\n    limits:\n      concurrent: 0`,
      'keys.yaml:9: keys[1].limits.concurrent: must be a whole number from 1 to 100000',
    ],
    [
      'a burst alone',
      `    secret: ${SECRET}2\n    tenant: t\n    limits:\n      burst: 5`,
      'keys.yaml:9: keys[1].limits.burst: is only allowed with requests_per_minute',
    ],
    [
      'a separator of salts in a tenant',
      `    secret: ${SECRET}2\n    tenant: "a:b"`,
      'keys.yaml:7: keys[1].tenant: must be 1 to 64 letters, digits, ".", "_", "@" or "-"',
    ],
  ];
  it.each(faults)('with %s is refused by line and entry', (_, fields, message) => {
    expect(fault(entry(fields))).toBe(message);
  });

  it('that is not YAML, has a key twice or other fields is refused by line', () => {
    expect(fault('keys:\n  - id: a\n   secret: x')).toMatch(
      /^keys\.yaml:3: is not valid YAML or JSON at column 1: a character is missing/,
    );
    expect(fault('keys: []\nkeys: []')).toMatch(
      /^keys\.yaml:2: is not valid YAML or JSON at column 1: a field occurs twice/,
    );
    expect(fault('keys: []\nnames: []')).toBe('keys.yaml:2: has an unknown field at column 1; the fields are keys');
    expect(fault('')).toBe('keys.yaml:1: must be an object');
    expect(fault(`keys:\n  - id: a\n    secret: ${SECRET}`)).toBe(
      'keys.yaml:2: keys[0].tenant: is missing; it must be a string',
    );
    expect(fault(entry(`    id: first\n`))).toMatch(/a field occurs twice/);
  });

  it('with the same id twice is refused', () => {
    const twice = `keys:\n  - { id: a, secret: ${SECRET}, tenant: t }\n  - { id: a, secret: ${SECRET}2, tenant: t }`;
    expect(fault(twice)).toBe('keys.yaml:3: keys[1].id: must be unique; an earlier key has the same id');
  });

  it('never repeats a secret in its messages', () => {
    expect(fault(entry(`    secret: ${SECRET} with spaces\n    tenant: t`))).not.toContain(SECRET);
  });

  const KEY = 'Fresh-Secret-Of-A-Customer-42';
  const slips: [string, string][] = [
    ['no space after the colon, in braces', `  - { id: b, tenant: t, secret:${KEY} }`],
    ['no space after the colon', `  - id: b\n    tenant: t\n    secret:${KEY}`],
    ['name and secret swapped', `  - id: b\n    tenant: t\n    ${KEY}: secret`],
    ['id and secret swapped', `  - id: ${KEY}\n    tenant: t\n    secret: b`],
    ['the secret as a limit', `  - { id: b, tenant: t, secret: ${SECRET}2, limits: { ${KEY}: 1 } }`],
    ['the secret at the top', `${KEY}: secret`],
    ...['*', '&', '|', '>', '!', '%', '@', '`', '"', "'", '[', '{', '? '].map((sign): [string, string] => [
      `${sign} before it`,
      `  - id: b\n    tenant: t\n    secret: ${sign}${KEY}`,
    ]),
    ['a list as a name', `  - id: b\n    tenant: t\n    ? [${KEY}]\n    : secret`],
    ['an escape', `  - id: b\n    tenant: t\n    secret: "\\${KEY}"`],
    ['the secret twice', `  - id: b\n    tenant: t\n    ${KEY}: 1\n    ${KEY}: 2`],
  ];
  it.each(slips)('never repeats a secret after a slip: %s', (_, text) => {
    const printed = vi.spyOn(process, 'emitWarning');
    const message = fault(`keys:\n  - id: a\n    tenant: t\n    secret: ${SECRET}\n${text}`);
    expect(message).toMatch(/^keys\.yaml:\d+: /);
    expect(message).not.toContain('Fresh');
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
  });

  it('names the position of a slip, and what is allowed', () => {
    expect(fault(entry(`    tenant: t\n    secret: *${KEY}`))).toMatch(/^keys\.yaml:7: .* at column 13: an alias/);
    expect(fault(`keys:\n  - { id: b, secret:${KEY} }`)).toMatch(/^keys\.yaml:2: keys\[0\].*/);
    const limits = `keys: [{ id: b, tenant: t, secret: ${SECRET}, limits: { ${KEY}: 1 } }]`;
    expect(fault(limits)).toMatch(
      /column \d+; the fields are requests_per_minute, burst, tokens_per_minute, concurrent/,
    );
  });

  it('expands no bomb of aliases', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`).join('\n')}\nkeys: []`;
    expect(fault(bomb)).toMatch(/aliases \(\*\) expand to too much/);
  });
});
