import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Completion } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { type EmbeddedServer, startNatsServer } from '../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../cli/nats/find-server.js';
import { webGpuMissing } from '../support/software-vulkan.js';
import { Fleet } from './support/fleet.js';
import { JoinedWorker } from './support/joined-worker.js';

/** Workers on WebGPU and one on the CPU. A software device needs many seconds per answer, so this file asks few questions. */

const SLOW_MS = 600_000;
const missing = webGpuMissing();
const onGpu = missing === null ? describe : describe.skip;

onGpu(`a fleet of workers on WebGPU and on the CPU${missing === null ? '' : ` (${missing})`}`, () => {
  let dir: string;
  let server: EmbeddedServer;
  let fleet: Fleet;
  let joined: JoinedWorker[] = [];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    server = await startNatsServer({ path: (await findNatsServer()).path, dir });
    const access = {
      SHOAL_NATS: server.url,
      SHOAL_NATS_USER: server.user,
      SHOAL_NATS_PASSWORD: server.password,
      SHOAL_SECRET: 'a secret of the fleet in this test',
    };
    // On a busy machine a worker would rather compute than fetch.
    const common = ['--replicas', '1', '--context', '1024', '--fetch', 'always'];
    fleet = await Fleet.up([...common, '--workers', '1', '--device', 'cpu'], access);
    const args = [...common, '--device', 'webgpu', '--sequences', '2', '--cache-bytes', '32MiB'];
    joined = ['gpu-1', 'gpu-2'].map((id) => new JoinedWorker(id, args, access));
    await fleet.until((workers) => workers.filter(({ state }) => state === 'serving').length === 3);
  }, SLOW_MS);

  afterAll(async () => {
    const codes = await Promise.all(joined.map((worker) => worker.stop()));
    await fleet?.stop();
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
    // A device with pending work can crash its process at exit.
    expect(codes).toEqual([0, 0]);
  }, SLOW_MS);

  /** Asks one worker, and waits until the coordinator knows that the worker has the blocks of the prompt. */
  const ask = async (sheet: ReturnType<typeof recallSheet>, question: number, worker: string): Promise<Completion> => {
    const { question: text, answer } = sheet.questions[question]!;
    const prompt = recallPrompt(sheet, text);
    const completion = await fleet.complete({ prompt }, { 'x-shoal-worker': worker });
    expect(completion.shoal.worker).toBe(worker);
    expect(completion.choices[0]!.text.trim()).toBe(answer);
    const known = async () => (await fleet.blocks(prompt)).every(({ holders }) => holders.includes(worker));
    await expect.poll(known, { timeout: SLOW_MS }).toBe(true);
    return completion;
  };

  it('reports the device of each worker, and the reason', async () => {
    const response = await fetch(`${fleet.url}/v1/fleet`);
    const { workers } = (await response.json()) as { workers: { id: string; device: string; device_reason: string }[] };
    const gpu = { device: 'webgpu', device_reason: expect.stringMatching(/^webgpu was asked for: .+/) };
    expect(workers.find(({ id }) => id === 'gpu-1')).toMatchObject(gpu);
    expect(workers.find(({ id }) => id === 'worker-1')).toMatchObject({
      device: 'cpu',
      device_reason: 'cpu was asked for',
    });
  });

  it('answers right on WebGPU, also from blocks of another WebGPU worker', {
    timeout: SLOW_MS,
  }, async () => {
    const sheet = recallSheet(8, 7);
    expect((await ask(sheet, 0, 'gpu-1')).shoal.cached).toMatchObject({ local: 0, remote: 0 });
    expect((await ask(sheet, 1, 'gpu-2')).shoal.cached).toMatchObject({ local: 0, remote: 64 });
    expect((await ask(sheet, 2, 'gpu-2')).shoal.cached).toMatchObject({ local: 64, remote: 0 });
  });

  it('shares prefixes between devices, in both directions', { timeout: SLOW_MS }, async () => {
    const fromGpu = recallSheet(8, 7);
    expect((await ask(fromGpu, 3, 'worker-1')).shoal.cached).toMatchObject({ local: 0, remote: 64 });
    const fromCpu = recallSheet(16, 8);
    expect((await ask(fromCpu, 0, 'worker-1')).shoal.cached).toMatchObject({ local: 0, remote: 0 });
    const { cached } = (await ask(fromCpu, 1, 'gpu-1')).shoal;
    expect(cached.local).toBe(0);
    expect(cached.remote).toBeGreaterThanOrEqual(128);
  });
});
