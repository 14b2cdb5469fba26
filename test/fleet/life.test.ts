import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { WorkerRow } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { CLI, Fleet } from './support/fleet.js';

const BENCH = new URL('../../dist/bench/', import.meta.url);
const sheet = recallSheet(32, 31);
const prompt = recallPrompt(sheet, sheet.questions[0]!.question);

function alive(pids: readonly number[]): number[] {
  return pids.filter((pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(statusOf(pid)));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State: Z';
  }
}

/** All descendants of a process. `/proc/<pid>/status` names the parent of each process. */
function childrenOf(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => new RegExp(`^PPid:\\s+${pid}$`, 'm').test(statusOf(other)));
  return children.flatMap((child) => [child, ...childrenOf(child)]);
}

describe('a fleet', () => {
  let fleet: Fleet | null = null;

  afterEach(async () => {
    await fleet?.stop();
    fleet = null;
  });

  it('stops by one signal and leaves no process behind', async () => {
    fleet = await Fleet.up(['--workers', '2']);
    const pids = [fleet.ready.pid, ...childrenOf(fleet.ready.pid)];
    expect(pids.length).toBeGreaterThanOrEqual(5);
    expect(await fleet.stop('SIGINT')).toBe(0);
    expect(alive(pids)).toEqual([]);
  });

  it('ends with the benchmark that started it, in whatever way that ends', async () => {
    const script = `
      import { RunningFleet } from ${JSON.stringify(new URL('./running-fleet.js', BENCH).href)};
      const fleet = await RunningFleet.up(${JSON.stringify(CLI)}, ['--workers', '1', '--log-level', 'error']);
      console.log(fleet.ready.pid);`;
    // Under npm, `shoal up` watches its parent by itself.
    const env = { ...process.env, npm_package_name: '' };
    const args = ['--input-type=module', '-e', script];
    const benchmark = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = (await once(createInterface({ input: benchmark.stdout }), 'line')) as [string];
    const pids = [Number(pid), ...childrenOf(Number(pid))];
    expect(pids.length).toBeGreaterThanOrEqual(4);
    benchmark.kill('SIGKILL');
    while (alive(pids).length > 0) await pause(50);
  });

  it('is not started, not even in part, if a port of it is taken', async () => {
    fleet = await Fleet.up(['--workers', '1']);
    const { port } = new URL(fleet.url);
    const second = promisify(execFile)(process.execPath, [CLI, 'up', '--port', port]);
    await expect(second).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('choose another --port') });
    const { stdout } = await second.catch((error: { stdout: string }) => error);
    expect(stdout).not.toContain('started');
  });

  it('rebuilds the index of holdings after a restart of the coordinator', async () => {
    fleet = await Fleet.up(['--workers', '2']);
    await fleet.complete({ prompt });
    const before = await fleet.holders(prompt);
    const response = await fetch(`${fleet.url}/v1/fleet`);
    const { coordinators } = (await response.json()) as { coordinators: { pid: number }[] };
    process.kill(coordinators[0]!.pid, 'SIGKILL');
    const holdersNow = async (): Promise<Set<string>> => fleet!.holders(prompt).catch(() => new Set<string>());
    while ((await holdersNow()).size < before.size);
    const again = await fleet.complete({ prompt });
    expect(again.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(256);
  });

  it('forgets every block on request', async () => {
    fleet = await Fleet.up(['--workers', '2']);
    await fleet.complete({ prompt });
    expect((await fleet.post('/reset_prefix_cache', {})).status).toBe(200);
    await fleet.until((workers) => workers.every(({ blocks }) => blocks === 0));
    expect((await fleet.complete({ prompt })).usage.prompt_tokens_details.cached_tokens).toBe(0);
  });

  it('answers 503 with retry-after when no worker serves, and drains on request until told to serve again', async () => {
    fleet = await Fleet.up(['--workers', '1']);
    const [worker] = fleet.ready.workers;
    expect((await fleet.post(`/v1/fleet/workers/${worker!.id}/drain`, {})).status).toBe(200);
    await fleet.until((workers) => workers.every(({ state }) => state === 'draining'));
    const refused = await fleet.post('/v1/completions', { model: 'recall', prompt });
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await fetch(`${fleet.url}/health/ready`)).status).toBe(503);
    expect((await fetch(`${fleet.url}/health/live`)).status).toBe(200);
    expect((await fleet.post(`/v1/fleet/workers/${worker!.id}/undrain`, {})).status).toBe(200);
    await fleet.until((workers) => workers.every(({ state }) => state === 'serving'));
    expect((await fleet.post('/v1/completions', { model: 'recall', prompt })).status).toBe(200);
  });

  it('reads the options file of shoal up again when its processes get SIGHUP', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-test-'));
    const file = join(folder, 'shoal.config.yaml');
    try {
      writeFileSync(file, 'workers: 1\nlog-level: error\n');
      fleet = await Fleet.up(['--config', file]);
      writeFileSync(file, 'workers: 1\nlog-level: info\n');
      for (const { pid } of [...fleet.ready.coordinators, ...fleet.ready.workers]) process.kill(pid, 'SIGHUP');
      const taken = () => fleet!.log.match(/read options and files again: log level info/g) ?? [];
      while (taken().length < 2) await pause(20);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('lets a client choose the worker only if that is allowed', async () => {
    fleet = await Fleet.up(['--workers', '1'], { SHOAL_ALLOW_ROUTING: '0' });
    const response = await fleet.post('/v1/completions', { model: 'recall', prompt }, { 'x-shoal-worker': 'worker-1' });
    expect(response.status).toBe(403);
  });

  it('survives garbage from strangers on the peer port', async () => {
    fleet = await Fleet.up(['--workers', '1']);
    const response = await fetch(`${fleet.url}/v1/fleet`);
    const { workers } = (await response.json()) as { workers: { address: string }[] };
    const { hostname, port } = new URL(workers[0]!.address.replace('tcp:', 'http:'));
    for (const bytes of [Buffer.alloc(64, 0xff), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(4096, 0x53)]) {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.resume();
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    const answer = await fleet.complete({ prompt });
    expect(answer.choices[0]!.text.trim()).toBe(sheet.questions[0]!.answer);
    expect((await fleet.workers())[0]!.pid).toBe(fleet.ready.workers[0]!.pid);
  });

  it('takes back a worker that was declared dead while it slept', async () => {
    fleet = await Fleet.up(['--workers', '2']);
    const before = (await fleet.workers())[0]!;
    process.kill(before.pid, 'SIGSTOP');
    await fleet.until((workers) => workers.some(({ id, state }) => id === before.id && state === 'dead'));
    process.kill(before.pid, 'SIGCONT');
    const back = ({ id, state }: WorkerRow) => id === before.id && state === 'serving';
    const after = (await fleet.until((workers) => workers.some(back))).find(back)!;
    expect([after.pid, after.incarnation]).toEqual([before.pid, before.incarnation]);
    expect((await fleet.complete({ prompt }, { 'x-shoal-worker': before.id })).shoal.worker).toBe(before.id);
  });
});
