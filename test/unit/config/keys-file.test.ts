import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseKeysFile } from '../../../src/config/keys-file.js';

const SECRET = 'a-secret-of-enough-characters';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

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
      'keys.yaml:6: keys[1] (second).secret: must have at least 16 characters; shoal key makes one',
    ],
    [
      'an unknown role',
      `    secret: ${SECRET}2\n    tenant: t\n    role: admin`,
      'keys.yaml:8: keys[1] (second).role: Invalid option: expected one of "user"|"operator"|"metrics"',
    ],
    ['no secret', '    tenant: t', 'keys.yaml:5: keys[1] (second): must have exactly one of secret and secret_sha256'],
    [
      'an unknown field',
      `    secret: ${SECRET}2\n    tenant: t\n    rolle: user`,
      'keys.yaml:8: keys[1] (second).rolle: is not a known field',
    ],
    [
      'the same secret twice',
      `    secret: ${SECRET}\n    tenant: t`,
      "keys.yaml:5: keys[1] (second): must have a secret of its own; the key 'first' has the same",
    ],
    [
      'a limit of zero',
      `    secret: ${SECRET}2\n    tenant: t\n    limits:\n      concurrent: 0`,
      'keys.yaml:9: keys[1] (second).limits.concurrent: must be a whole number from 1 to 100000',
    ],
    [
      'a burst alone',
      `    secret: ${SECRET}2\n    tenant: t\n    limits:\n      burst: 5`,
      'keys.yaml:9: keys[1] (second).limits.burst: is only allowed with requests_per_minute',
    ],
    [
      'a separator of salts in a tenant',
      `    secret: ${SECRET}2\n    tenant: "a:b"`,
      'keys.yaml:7: keys[1] (second).tenant: must be 1 to 64 letters, digits, ".", "_", "@" or "-"',
    ],
  ];
  it.each(faults)('with %s is refused by line and entry', (_, fields, message) => {
    expect(fault(entry(fields))).toBe(message);
  });

  it('that is not YAML, has a key twice or other fields is refused by line', () => {
    expect(fault('keys:\n  - id: a\n   secret: x')).toMatch(/^keys\.yaml:3: is not valid YAML or JSON: /);
    expect(fault('keys: []\nkeys: []')).toMatch(/^keys\.yaml:2: is not valid YAML or JSON: Map keys must be unique/);
    expect(fault('keys: []\nnames: []')).toBe('keys.yaml:2: names: is not a known field');
    expect(fault('')).toMatch(/^keys\.yaml:1: Invalid input/);
    expect(fault(entry(`    id: first\n`))).toMatch(/Map keys must be unique/);
  });

  it('with the same id twice is refused', () => {
    const twice = `keys:\n  - { id: a, secret: ${SECRET}, tenant: t }\n  - { id: a, secret: ${SECRET}2, tenant: t }`;
    expect(fault(twice)).toBe('keys.yaml:3: keys[1] (a).id: must be unique; an earlier key has the same id');
  });

  it('never repeats a secret in its messages', () => {
    expect(fault(entry(`    secret: ${SECRET} with spaces\n    tenant: t`))).not.toContain(SECRET);
  });

  it('expands no bomb of aliases', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`).join('\n')}\nkeys: []`;
    expect(fault(bomb)).toMatch(/Excessive alias count/);
  });
});
