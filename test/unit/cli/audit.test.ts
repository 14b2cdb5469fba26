import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { run } from '../../../cli/program.js';

async function shown(path: string, ...flags: string[]) {
  let [out, err] = ['', ''];
  const io = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  };
  const code = await run(['audit', '--audit-log', path, ...flags], { environment: {}, io });
  return { code, out, err };
}

const entry = (minute: number, fields: object) => ({
  ...{ time: `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000Z`, coordinator: 'c1', event: 'request' },
  ...{ request_id: `r${minute}`, tenant: 'acme', key: 'web', role: 'user', address: '10.0.0.9', method: 'POST' },
  ...{ route: '/v1/completions', target: null, decision: 'allowed', status: 200, code: null, tokens: null },
  ...{ duration_ms: 1, ...fields },
});
const lines = (...entries: object[]) => entries.map((each) => `${JSON.stringify(each)}\n`).join('');

it('shoal audit shows the entries of all files of a log by time, and chooses among them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-audit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'audit.log');
  const drain = {
    route: '/v1/fleet/workers/:id/drain',
    target: 'w1',
    decision: 'refused',
    status: 403,
    code: 'role_not_allowed',
  };
  writeFileSync(`${path}.1`, lines(entry(1, { tokens: { prompt: 70, cached: 64, generated: 5 } }), entry(3, drain)));
  writeFileSync(path, `${lines(entry(4, { tenant: 'beta', key: 'other' }))}{"half": `);
  writeFileSync(`${path}.c2`, lines({ ...entry(2, {}), event: 'worker_quarantined', worker: 'w3', by: ['w1', 'w2'] }));
  writeFileSync(`${path}.c2.requests.1`, lines(entry(0, { tenant: 'gamma' })));
  writeFileSync(join(folder, 'audit.log.bak~'), lines(entry(5, {})));

  const all = await shown(path);
  expect(all.code).toBe(0);
  expect(all.err).toMatch(/1 lines/);
  const rows = all.out.trim().split('\n').slice(1);
  expect(rows.map((row) => row.slice(14, 16))).toEqual(['00', '01', '02', '03', '04']);
  expect(rows[1]).toMatch(/acme +web +10\.0\.0\.9 +POST \/v1\/completions +allowed +70 \+ 5 \(64\) +r1/);
  expect(rows[2]).toMatch(/worker w3 was quarantined by w1, w2/);
  expect(rows[3]).toMatch(/POST \/v1\/fleet\/workers\/w1\/drain +refused: 403 role_not_allowed/);

  const ids = async (...flags: string[]) => {
    const { out } = await shown(path, '--json', ...flags);
    return out
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).request_id);
  };
  expect(await ids('--tenant', 'beta')).toEqual(['r4']);
  expect(await ids('--key', 'web')).toEqual(['r0', 'r1', 'r3']);
  expect(await ids('--decision', 'refused')).toEqual(['r3']);
  expect(await ids('--route', 'completions')).toEqual(['r0', 'r1', 'r4']);
  expect(await ids('--request-id', 'r3')).toEqual(['r3']);
  expect(await ids('--since', '1m')).toEqual([]);
  expect(await ids('--limit', '1')).toEqual(['r4']);
});

it('shoal audit says that a file is missing', async () => {
  expect(await shown('/nowhere/audit.log')).toMatchObject({ code: 2, err: expect.stringContaining('--audit-log') });
});
