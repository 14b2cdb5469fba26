import { describe, expect, it } from 'vitest';
import { checkPattern, checkSubject, matches } from '../../../src/bus/subject.js';
import { hostId, newIncarnation } from '../../../src/fleet/identity.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';

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
});
