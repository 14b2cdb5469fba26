import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** The script that moves requests between two fleets on Kubernetes, with a `kubectl` that records and a Prometheus that answers as told. */

const SCRIPT = fileURLToPath(new URL('../../../deploy/kubernetes/rollout.sh', import.meta.url));

/** Answers by metric and Service; NaN for none. */
type Measured = Readonly<Record<'errors' | 'firstToken' | 'hits', Readonly<Record<string, string>>>>;

const EQUAL: Measured = {
  errors: { blue: '0', green: '0' },
  firstToken: { blue: '0.4', green: '0.41' },
  hits: { blue: '0.8', green: '0.7' },
};

let folder: string;
let prometheus: Server;
let measured: Measured;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-rollout-'));
  measured = EQUAL;
  const kubectl = `#!/bin/sh
case "$*" in *" get httproute "*) echo "blue green"; exit ;; esac
printf '%s\\n' "$*" >>"${folder}/calls"
`;
  writeFileSync(join(folder, 'kubectl'), kubectl);
  chmodSync(join(folder, 'kubectl'), 0o755);
  prometheus = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => response.end(answer(new URLSearchParams(body).get('query')!)));
  }).listen(0, '127.0.0.1');
  await once(prometheus, 'listening');
});

afterEach(() => {
  prometheus.close();
  rmSync(folder, { recursive: true });
});

function answer(query: string): string {
  const service = /service="(\w+)"/.exec(query)![1]!;
  const metric = query.includes('requests_total') ? 'errors' : query.includes('first_token') ? 'firstToken' : 'hits';
  const value = measured[metric][service];
  const result = value === undefined ? [] : [{ metric: {}, value: [1.5, value] }];
  return JSON.stringify({ status: 'success', data: { resultType: 'vector', result } });
}

interface Ran {
  readonly code: number;
  readonly said: string;
  /** The weights of blue and green, in the order in which they were set. */
  readonly weights: readonly (readonly number[])[];
}

async function rollout(mode: string, env: Readonly<Record<string, string>> = {}, to = 'green'): Promise<Ran> {
  const { port } = prometheus.address() as AddressInfo;
  const variables = {
    ...{ PATH: `${folder}:${process.env.PATH}`, PAUSE_S: '0', PROMETHEUS: `http://127.0.0.1:${port}` },
    ...env,
  };
  const [code, said] = await new Promise<[number, string]>((resolve) => {
    execFile('sh', [SCRIPT, mode, 'blue', to], { env: variables }, (error, stdout, stderr) => {
      resolve([error ? Number(error.code) : 0, stdout + stderr]);
    });
  });
  const weights = calls()
    .filter((call) => call.includes(' patch '))
    .map((call) => (JSON.parse(call.slice(call.indexOf('['))) as { value: number }[]).map(({ value }) => value));
  return { code, said, weights };
}

function calls(): string[] {
  try {
    return readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}

describe('a rollout', () => {
  it('waits for the new fleet, then gives it more and more requests', async () => {
    const { code, weights } = await rollout('canary');
    expect(code).toBe(0);
    expect(calls().slice(0, 2)).toEqual([
      '--namespace shoal rollout status deployment/green-coordinator --timeout 10m',
      '--namespace shoal rollout status statefulset/green-worker --timeout 30m',
    ]);
    expect(weights.map(([, green]) => green)).toEqual([5, 25, 50, 100]);
    expect(weights.every(([blue, green]) => blue! + green! === 100)).toBe(true);
  });

  it('switches at once, and back', async () => {
    expect((await rollout('switch')).weights).toEqual([[0, 100]]);
    expect((await rollout('back')).weights.at(-1)).toEqual([100, 0]);
  });

  it.each([
    ['errors', { errors: { ...EQUAL.errors, green: '0.02' } }, [5, 0], '0.02 of its requests fail'],
    [
      'a late first token',
      { firstToken: { ...EQUAL.firstToken, green: '0.6' } },
      [5, 0],
      'its first token takes 0.6 s',
    ],
    ['few hits', { hits: { ...EQUAL.hits, green: '0.3' } }, [5, 25, 0], 'its hit rate is 0.3 (0.8 in blue)'],
  ])('goes back because of %s', async (_, change, shares, why) => {
    measured = { ...EQUAL, ...change };
    const { code, said, weights } = await rollout('canary');
    expect(code).toBe(1);
    expect(weights.map(([, green]) => green)).toEqual(shares);
    expect(said).toContain(why);
  });

  it('goes back if Prometheus does not answer, and goes on where nothing was measured', async () => {
    const lost = await rollout('canary', { PROMETHEUS: 'http://127.0.0.1:1' });
    expect(lost.weights.map(([, green]) => green)).toEqual([5, 0]);
    expect(lost.said).toContain('does not answer');
    measured = { errors: {}, firstToken: { blue: 'NaN', green: 'NaN' }, hits: { blue: 'NaN' } };
    expect((await rollout('canary')).code).toBe(0);
  });

  it('refuses a route without both fleets, and wrong usage', async () => {
    const wrong = await rollout('canary', {}, 'red');
    expect(wrong).toMatchObject({ code: 1, weights: [] });
    expect(wrong.said).toContain('it must have blue and red');
    expect((await rollout('sideways')).code).toBe(2);
  });
});
