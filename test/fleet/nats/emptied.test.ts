import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { JoinedCoordinator } from '../support/joined-coordinator.js';
import { JoinedWorker } from '../support/joined-worker.js';

const SECRET = { SHOAL_SECRET: 'a secret of the fleet in this test', SHOAL_LOG_LEVEL: 'info' };

describe('a fleet whose NATS comes back with an empty store', () => {
  let dir: string;
  let path: string;
  let nats: PlainNats;
  let coordinator: JoinedCoordinator;
  let workers: JoinedWorker[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    path = (await findNatsServer()).path;
    nats = await started('first');
  });
  afterEach(async () => {
    await Promise.all([...workers, coordinator].map((each) => each?.stop()));
    await nats?.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  function started(store: string, args: readonly string[] = []): Promise<PlainNats> {
    return plainNats(path, ['-js', '-sd', join(dir, store), ...args]);
  }

  function worker(id: string, args: readonly string[] = []): JoinedWorker {
    const small = ['--threads', '1', '--sequences', '2', '--cache-bytes', '64MiB', '--metrics-port', 'off'];
    const joined = new JoinedWorker(id, [...small, ...args], { ...SECRET, SHOAL_NATS: nats.url });
    workers.push(joined);
    return joined;
  }

  it('keeps its charter: the wrong newcomers of that moment are refused, and the right ones join', async () => {
    workers = [];
    const members = [worker('a'), worker('b')];
    coordinator = await JoinedCoordinator.start('c', { ...SECRET, SHOAL_NATS: nats.url });
    const running = [...members, coordinator.process];
    await Promise.all(running.map((each) => each.logged('the charter of the fleet stands')));
    await Promise.all(members.map((each) => each.logged('"msg":"serving"')));

    await nats.stop('SIGKILL');
    // They wait for NATS, so that they may be connected to it before the members are.
    const waiting = [worker('wrong-1', ['--replicas', '3']), worker('wrong-2', ['--replicas', '3'])];
    await Promise.all(waiting.map((each) => each.logged('trying again')));
    nats = await started('second', ['-p', new URL(nats.url).port]);
    const late = [worker('wrong-3', ['--replicas', '3']), worker('right')] as const;

    for (const wrong of [...waiting, late[0]]) {
      expect(await wrong.ended).toBe(1);
      expect(wrong.lines.join('\n')).toContain('replicas is 2 there, 3 here');
    }
    await late[1].logged('"msg":"serving"');
    await coordinator.until((all) => all.filter(({ state }) => state === 'serving').length === 3);
    expect(running.filter(({ alive }) => !alive)).toEqual([]);

    // The counter of its generations is back too: a worker that is started again is taken for the later one.
    await members[0]!.stop();
    await worker('a').logged('"msg":"serving"');
    const sheet = recallSheet(16, 6);
    const { question, answer } = sheet.questions[0]!;
    const { choices } = await coordinator.complete({ prompt: recallPrompt(sheet, question) });
    expect(choices[0]!.text.trim()).toBe(answer);
  });
});
