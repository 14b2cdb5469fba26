import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunksOf } from '../../../bench/fleet/chunks.js';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { JoinedCoordinator } from '../support/joined-coordinator.js';
import { JoinedWorker } from '../support/joined-worker.js';

const RESTARTS = 8;
const UP_MS = 700;
const SHEET = recallSheet(16, 6);
const SECRET = { SHOAL_SECRET: 'a secret of the fleet in this test' };
/** Documentation addresses, which nobody can dial. */
const UNREACHABLE = '203.0.113.7';

describe('NATS that is restarted again and again', () => {
  let dir: string;
  let path: string;
  let nats: PlainNats;
  let coordinator: JoinedCoordinator;
  let workers: JoinedWorker[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    path = (await findNatsServer()).path;
    nats = await started();
  });
  afterEach(async () => {
    await Promise.all([...workers, coordinator].map((each) => each?.stop()));
    await nats?.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  function started(args: readonly string[] = []): Promise<PlainNats> {
    return plainNats(path, ['-js', '-sd', join(dir, 'store'), ...args]);
  }

  async function restart(): Promise<void> {
    await nats.stop('SIGKILL');
    nats = await started(['-p', new URL(nats.url).port]);
  }

  const long = (seed: number) => ({
    model: 'recall',
    prompt: recallPrompt(SHEET, SHEET.questions[seed]!.question),
    max_tokens: 300,
    ignore_eos: true,
    temperature: 0.8,
    seed,
  });

  async function streamed(seed: number): Promise<string> {
    let text = '';
    const response = await coordinator.post('/v1/completions', { ...long(seed), stream: true });
    for await (const chunk of chunksOf(response)) text += chunk.choices[0]?.text ?? '';
    return text;
  }

  it.each([
    ['over direct connections', '127.0.0.1'],
    ['over NATS itself, as no worker can be dialled', UNREACHABLE],
  ])('costs no request that is served %s', async (_, address) => {
    const env = { ...SECRET, SHOAL_NATS: nats.url };
    const args = ['--threads', '1', '--cache-bytes', '64MiB', '--metrics-port', 'off', '--advertise-host', address];
    workers = ['a', 'b'].map((id) => new JoinedWorker(id, args, env));
    coordinator = await JoinedCoordinator.start('c', env);
    await coordinator.until((all) => all.filter(({ state }) => state === 'serving').length === 2);
    const seeds = [1, 2, 3, 4];
    const undisturbed = await Promise.all(seeds.map(streamed));

    let over = false;
    const failed: string[] = [];
    let answered = 0;
    const clients = seeds.map(async (seed, i) => {
      while (!over) {
        const text = await streamed(seed).catch(String);
        if (text === undisturbed[i]) answered++;
        else failed.push(text);
      }
    });
    for (let i = 0; i < RESTARTS; i++) {
      await restart();
      await pause(UP_MS);
    }
    over = true;
    await Promise.all(clients);
    expect(failed).toEqual([]);
    expect(answered).toBeGreaterThanOrEqual(seeds.length);
    expect(workers.filter(({ alive }) => !alive)).toEqual([]);
  });
});
