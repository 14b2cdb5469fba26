import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { saying } from './support/scripted-fleet.js';
import { idsOf, testServer } from './support/test-server.js';

const PAGE = readFileSync(new URL('../../../docs/API.md', import.meta.url), 'utf8');
const TABLE = /<!-- other servers -->([\s\S]*?)<!-- \/other servers -->/.exec(PAGE)![1]!;
const ROW = /^\| `(GET|POST) (\S+)(?: (\{.*\}))?` \| ([^|]+) \| (\d{3}) \|/;
const rows = TABLE.split('\n').filter((line) => line.startsWith('| `'));

it('the page of the API says what clients of other servers get', async () => {
  expect(rows.length).toBeGreaterThan(40);
  const { url, fleet } = await testServer();
  fleet.script = () => saying(idsOf(' a'));
  const wrong: string[] = [];
  for (const row of rows) {
    const [, method, path, body = '{}', , status] = ROW.exec(row) ?? [];
    expect([row, status]).not.toContain(undefined);
    const sent = method === 'POST' ? { body, headers: { 'content-type': 'application/json' } } : {};
    const answer = await fetch(url + path!, { method: method!, ...sent });
    await answer.text();
    if (String(answer.status) !== status) wrong.push(`${row}: ${answer.status}`);
  }
  expect(wrong).toEqual([]);
});
