import { describe, expect, it } from 'vitest';
import { natsAdvisories, natsWarning } from '../../../src/bus/nats-advisories.js';

const ids = (version: string) => natsAdvisories(version).map(({ id }) => id);

describe('the known weaknesses of nats-server', () => {
  it.each([
    ['2.9.10', ['CVE-2023-47090', 'CVE-2025-30215', 'GHSA-38x3-76xf-cq45']],
    ['2.9.23', ['CVE-2025-30215', 'GHSA-38x3-76xf-cq45']],
    ['2.10.1', ['CVE-2023-47090', 'CVE-2025-30215', 'GHSA-38x3-76xf-cq45']],
    ['2.10.27', ['GHSA-38x3-76xf-cq45']],
    ['2.11.1', ['CVE-2026-33249', 'GHSA-38x3-76xf-cq45']],
    ['2.12.6', ['GHSA-38x3-76xf-cq45']],
    ['2.12.7-RC.1', []],
    ['2.12.15', []],
    ['2.14.0', []],
    ['3.0.0', []],
  ])('of version %s are %j', (version, found) => {
    expect(ids(version)).toEqual(found);
  });

  it('are named with what they let others do, and the remedy', () => {
    expect(natsWarning('2.12.15')).toBeNull();
    expect(natsWarning('2.11.1')).toMatch(/^nats-server 2\.11\.1 has known weaknesses: CVE-2026-33249 \(.*install/);
  });
});
