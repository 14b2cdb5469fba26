import { type ChildProcess, spawn } from 'node:child_process';
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

/** Answers by metric and Service; NaN for a number that none is. */
type Measured = Readonly<
  Record<'workers' | 'requests' | 'errors' | 'refused' | 'firstToken' | 'hits', Readonly<Record<string, string>>>
>;

const EQUAL: Measured = {
  workers: { blue: '3', green: '3' },
  requests: { blue: '900', green: '100' },
  errors: { blue: '0', green: '0' },
  refused: { blue: '0.03', green: '0.04' },
  firstToken: { blue: '0.4', green: '0.41' },
  hits: { blue: '0.8', green: '0.7' },
};

const METRICS: readonly (readonly [keyof Measured, string])[] = [
  ['workers', 'shoal_fleet_workers'],
  ['errors', 'status=~"5.."'],
  ['refused', 'status=~"4.."'],
  ['requests', 'increase(shoal_requests_total'],
  ['firstToken', 'time_to_first_token'],
  ['hits', 'prompt_tokens'],
];

let folder: string;
let prometheus: Server;
/** What Prometheus has measured while green gets a share of the requests; null: it answers nothing. */
let measured: (share: number, metric: keyof Measured, service: string) => Measured | null;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-rollout-'));
  measured = () => EQUAL;
  const kubectl = `#!/bin/sh
case "$*" in
  *" get httproute "*) echo "blue green"; exit ;;
  *" patch "*'"value":'"\${KUBE_REFUSES:-none}}]"*) echo "the server is away" >&2; exit 1 ;;
esac
printf '%s\n' "$*" >>"${folder}/calls"
`;
  writeFileSync(join(folder, 'kubectl'), kubectl);
  chmodSync(join(folder, 'kubectl'), 0o755);
  prometheus = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const answer = answerTo(new URLSearchParams(body).get('query')!);
      response.statusCode = answer === null ? 503 : 200;
      response.end(answer);
    });
  }).listen(0, '127.0.0.1');
  await once(prometheus, 'listening');
});

afterEach(() => {
  prometheus.close();
  rmSync(folder, { recursive: true });
});

function answerTo(query: string): string | null {
  const service = /service="(\w+)"/.exec(query)![1]!;
  const [metric] = METRICS.find(([, part]) => query.includes(part))!;
  const all = measured(weights().at(-1)?.[1] ?? 0, metric, service);
  if (all === null) return null;
  const value = all[metric][service];
  const result = value === undefined ? [] : [{ metric: {}, value: [1.5, value] }];
  return JSON.stringify({ status: 'success', data: { resultType: 'vector', result } });
}

interface Ran {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly said: string;
  /** The shares of green, in the order in which they were set. */
  readonly shares: readonly number[];
}

/** Runs the script. `during` gets it as soon as it runs. */
async function rollout(
  mode: string,
  env: Readonly<Record<string, string>> = {},
  to = 'green',
  during: (script: ChildProcess) => void = () => {},
): Promise<Ran> {
  const { port } = prometheus.address() as AddressInfo;
  const variables = {
    ...{ PATH: `${folder}:${process.env.PATH}`, PAUSE_S: '0', RETRY_S: '0', PROMETHEUS: `http://127.0.0.1:${port}` },
    ...env,
  };
  const script = spawn('sh', [SCRIPT, mode, 'blue', to], { env: variables, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [script.stdout, script.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk;
    });
  }
  during(script);
  const [code] = (await once(script, 'close')) as [number | null];
  return { code, said, shares: weights().map(([, green]) => green!) };
}

/** The weights of blue and green, in the order in which they were set. */
function weights(): number[][] {
  return calls()
    .filter((call) => call.includes(' patch '))
    .map((call) => (JSON.parse(call.slice(call.indexOf('['))) as { value: number }[]).map(({ value }) => value));
}

function calls(): string[] {
  try {
    return readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}

/** Nothing is measured of a service. */
function without(service: string): Measured {
  const entries = Object.entries(EQUAL).map(([metric, { [service]: _, ...others }]) => [metric, others]);
  return Object.fromEntries(entries) as Measured;
}

/** What is measured of green is another value. */
function green(metric: keyof Measured, value: string): Measured {
  return { ...EQUAL, [metric]: { ...EQUAL[metric], green: value } };
}

describe('a rollout', () => {
  it('waits for the new fleet, then gives it more and more requests', async () => {
    const { code, shares, said } = await rollout('canary');
    expect({ code, said }).toMatchObject({ code: 0, said: expect.stringContaining('green serves') });
    expect(calls().slice(0, 2)).toEqual([
      '--namespace shoal rollout status deployment/green-coordinator --timeout 10m',
      '--namespace shoal rollout status statefulset/green-worker --timeout 30m',
    ]);
    expect(shares).toEqual([5, 25, 50, 100]);
    expect(weights().every(([blue, green]) => blue! + green! === 100)).toBe(true);
  });

  it('switches at once, and back', async () => {
    expect((await rollout('switch')).shares).toEqual([100]);
    expect((await rollout('back')).shares).toEqual([100, 0]);
  });

  it.each([
    ['errors', green('errors', '0.02'), [5, 0], '0.02 of its requests fail'],
    ['wrong keys, hosts or models', green('refused', '1'), [5, 0], '1 of its requests get 4xx (0.03 in blue)'],
    ['a late first token', green('firstToken', '0.6'), [5, 0], 'its first token takes 0.6 s'],
    ['few hits', green('hits', '0.3'), [5, 25, 0], 'its hit rate is 0.3 (0.8 in blue)'],
    ['workers that are gone', green('workers', '0'), [5, 0], 'no worker serves'],
    ['few requests', green('requests', '3'), [5, 0], 'only 3 requests were measured in 5m'],
    ['no first token', green('firstToken', 'NaN'), [5, 0], 'no first token of it was measured'],
    ['no hit rate', green('hits', 'NaN'), [5, 25, 0], 'no hit rate of it was measured'],
    ['nothing measured', without('green'), [5, 0], 'no coordinator is seen by Prometheus'],
  ])('goes back because of %s', async (_, change, expected, why) => {
    measured = (share) => (share === 0 ? EQUAL : change);
    const { code, said, shares } = await rollout('canary');
    expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining(why) });
    expect(shares).toEqual(expected);
    expect(said).toContain('went back to blue');
  });

  it.each([
    ['firstToken', '0.6', 'its first token takes 0.6 s (95th percentile; 0.4 s in blue)'],
    ['hits', '0.3', 'its hit rate is 0.3 (0.8 in blue)'],
  ] as const)('compares %s with the old fleet as it was while it had requests', async (metric, value, why) => {
    for (const mode of ['switch', 'canary']) {
      rmSync(join(folder, 'calls'), { force: true });
      measured = (share) =>
        share < 100 ? EQUAL : { ...green(metric, value), [metric]: { green: value, blue: 'NaN' } };
      const { code, said, shares } = await rollout(mode);
      expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining(why) });
      expect(shares.slice(-2)).toEqual([100, 0]);
    }
  });

  it.each(METRICS)('goes back if Prometheus does not answer for %s', async (metric) => {
    for (const service of ['blue', 'green']) {
      rmSync(join(folder, 'calls'), { force: true });
      measured = (share, asked, of) => (share >= 50 && asked === metric && of === service ? null : EQUAL);
      const { code, shares, said } = await rollout('canary', { STEPS: '50 100' });
      const asksOld = ['refused', 'firstToken', 'hits'].includes(metric);
      if (service === 'blue' && !asksOld) expect({ code, shares }).toEqual({ code: 0, shares: [50, 100] });
      else expect({ code, shares, said }).toMatchObject({ code: 1, shares: [50, 0] });
      if (code === 1) expect(said).toContain('does not answer');
    }
  });

  it('moves nothing where there is nothing to compare with', async () => {
    const lost = await rollout('canary', { PROMETHEUS: 'http://127.0.0.1:1' });
    expect(lost).toMatchObject({ code: 1, shares: [], said: expect.stringContaining('does not answer') });
    measured = () => without('blue');
    const unseen = await rollout('switch');
    expect(unseen).toMatchObject({ code: 1, shares: [], said: expect.stringContaining('nothing was moved') });
  });

  it('judges a route without clients if it is told to', async () => {
    const none = { blue: '0', green: '0' };
    const nan = { blue: 'NaN', green: 'NaN' };
    const idle = { requests: none, errors: nan, refused: nan, firstToken: nan, hits: nan };
    measured = () => ({ ...EQUAL, ...idle });
    expect(await rollout('canary')).toMatchObject({ code: 1, shares: [] });
    expect(await rollout('canary', { MIN_REQUESTS: '0' })).toMatchObject({ code: 0, shares: [5, 25, 50, 100] });
    measured = (share) => ({ ...EQUAL, ...idle, workers: { blue: '1', green: share > 5 ? '0' : '1' } });
    expect((await rollout('canary', { MIN_REQUESTS: '0' })).shares.slice(-3)).toEqual([5, 25, 0]);
  });

  it('does not wait for the end of the pause where most requests fail', async () => {
    measured = (share) => (share === 0 ? EQUAL : green('refused', '0.9'));
    const { code, shares } = await rollout('switch', { PAUSE_S: '100000', CHECK_S: '1' });
    expect({ code, shares }).toEqual({ code: 1, shares: [100, 0] });
  });

  it('goes back if the route does not take a step', async () => {
    const { code, shares, said } = await rollout('canary', { KUBE_REFUSES: '25' });
    expect({ code, shares }).toEqual({ code: 1, shares: [5, 0] });
    expect(said).toContain('the route does not take 25 %');
  });

  it('says how to go back where it cannot', async () => {
    measured = (share) => (share === 0 ? EQUAL : green('errors', '1'));
    const { code, said } = await rollout('canary', { KUBE_REFUSES: '0' });
    expect(code).toBe(1);
    expect(said).toContain('green may still get requests; run: ');
    expect(said).toContain('rollout.sh back blue green');
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('goes back at %s, at once', async (signal, expected) => {
    const ran = rollout('canary', { PAUSE_S: '100000' }, 'green', (script) => {
      script.stdout!.once('data', () => script.kill(signal));
    });
    expect(await ran).toMatchObject({ code: expected, shares: [5, 0] });
  });

  it.each([
    [{ STEPS: '5 25 150' }, 'STEPS: must be rising whole numbers from 1 to 100'],
    [{ STEPS: '50 5' }, 'STEPS: must be rising whole numbers from 1 to 100'],
    [{ STEPS: ' ' }, 'STEPS: must not be empty'],
    [{ PAUSE_S: '5m' }, 'PAUSE_S: must be a whole number of seconds'],
    [{ WINDOW: '300' }, 'WINDOW: must be a time such as 5m'],
    [{ MAX_ERROR_RATE: '1 %' }, 'MAX_ERROR_RATE: must be a number'],
  ])('refuses %j', async (env, why) => {
    const wrong = await rollout('canary', env);
    expect(wrong).toMatchObject({ code: 2, shares: [], said: expect.stringContaining(why) });
  });

  it('may end with a share', async () => {
    const { code, said } = await rollout('canary', { STEPS: '5' });
    expect({ code, said }).toMatchObject({ code: 0, said: expect.stringContaining('green keeps 5 % of the requests') });
  });

  it('refuses a route without both fleets, and wrong usage', async () => {
    const wrong = await rollout('canary', {}, 'red');
    expect(wrong).toMatchObject({ code: 1, shares: [] });
    expect(wrong.said).toContain('it must have blue and red');
    expect((await rollout('sideways')).code).toBe(2);
  });
});
