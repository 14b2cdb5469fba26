import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkPattern, checkSubject, matches } from '../../../src/bus/subject.js';
import { OPTIONS } from '../../../src/config/options.js';
import { BUCKET_SUFFIXES } from '../../../src/fleet/bucket-suffixes.js';
import { fleetBuckets } from '../../../src/fleet/buckets.js';
import { hostId, newIncarnation } from '../../../src/fleet/identity.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { connect } from '../../../src/runtime/connect.js';

describe('names in a fleet', () => {
  it('include a fresh incarnation, which does not depend on a clock', () => {
    const drawn = Array.from({ length: 1_000 }, newIncarnation);
    expect(new Set(drawn).size).toBe(drawn.length);
    for (const incarnation of drawn) expect(incarnation).toMatch(/^[0-9a-f]{24}$/);
  });

  it('include the same host ID each time', () => {
    expect(hostId()).toBe(hostId());
    expect(hostId().length).toBeGreaterThan(0);
    expect(hostId().length).toBeLessThanOrEqual(128);
  });

  it('include distinct subjects for each fleet and each kind of message', () => {
    const [one, two] = [fleetSubjects('one'), fleetSubjects('two')];
    const all = [one, two].flatMap(({ holdings, echo, ...others }) => [
      ...Object.values(others),
      holdings('worker-1'),
      echo('worker-1', '01'),
      echo('worker.1', '01'),
    ]);
    expect(new Set(all).size).toBe(all.length);
    for (const subject of all) checkSubject(subject);
    checkPattern(one.holdings('*'));
    expect(matches(one.holdings('*'), one.holdings('worker-1'))).toBe(true);
    expect(matches(one.holdings('*'), two.holdings('worker-1'))).toBe(false);
  });

  it('include buckets that no other fleet can have', () => {
    const { check } = OPTIONS.namespace.type;
    const ends = fleetBuckets('acme').map(({ name }) => name.slice('shoal-acme'.length));
    expect(ends.toSorted()).toEqual(['', ...Object.values(BUCKET_SUFFIXES)].toSorted());
    for (const end of ends.filter((suffix) => suffix !== '')) {
      expect(ends.filter((other) => other.endsWith(end))).toEqual([end]);
      for (const name of [`acme${end}`, `acme-pins${end}`, end]) expect(check.safeParse(name).success).toBe(false);
    }
    for (const name of ['acme', 'acme_pins', 'pins', 'acme-pins-2']) expect(check.parse(name)).toBe(name);
  });

  it('are refused with the fleet whose bucket they would have', () => {
    const { error } = OPTIONS.namespace.type.check.safeParse('acme-pins');
    expect(error?.issues[0]?.message).toBe(
      'must be 1 to 64 letters, digits, "-" or "_", not ending in -generations, -pins or -actors; its bucket on NATS would be one of the fleet acme',
    );
  });

  it('are refused by connect() and by the schema of the Helm chart too', async () => {
    const secret = 'secret-secret-secret';
    const message = expect.stringMatching(/^namespace: must be .* of the fleet acme, got "acme-pins"$/);
    await expect(connect('nats://127.0.0.1:1', { secret, namespace: 'acme-pins' })).rejects.toMatchObject({ message });
    const schema = readFileSync(new URL('../../../deploy/helm/shoal/values.schema.json', import.meta.url), 'utf8');
    const { not } = JSON.parse(schema).properties.fleet.properties.namespace;
    expect(not).toEqual({ pattern: `(${Object.values(BUCKET_SUFFIXES).join('|')})$` });
  });
});
