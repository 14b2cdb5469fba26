import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunksOf } from '../../../bench/fleet/chunks.js';
import { type PlainNats, plainNats } from '../../../bench/fleet/plain-nats.js';
import { recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { Fleet } from '../support/fleet.js';

const SHEET = recallSheet(16, 6);

describe('an outage of NATS for some seconds', () => {
  let dir: string;
  let nats: PlainNats;
  let fleet: Fleet;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    nats = await started([]);
    fleet = await Fleet.up(['--workers', '2', '--replicas', '2', '--nats', nats.url]);
  });
  afterEach(async () => {
    await fleet?.stop();
    await nats?.stop('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  async function started(args: readonly string[]): Promise<PlainNats> {
    const { path } = await findNatsServer();
    return plainNats(path, ['-js', '-sd', join(dir, 'store'), ...args]);
  }

  const outages = {
    killed: async () => {
      await nats.stop('SIGKILL');
      return async () => {
        await pause(5_000);
        nats = await started(['-p', new URL(nats.url).port]);
      };
    },
    stopped: async () => {
      process.kill(nats.pid, 'SIGSTOP');
      return async () => {
        await pause(10_000);
        process.kill(nats.pid, 'SIGCONT');
      };
    },
  };

  const long = (seed: number) => ({
    model: 'recall',
    prompt: recallPrompt(SHEET, SHEET.questions[seed]!.question),
    max_tokens: 1_000,
    ignore_eos: true,
    temperature: 0.8,
    seed,
  });

  /** The streamed text, or the error that ended it. Calls `begun` when the first text has come. */
  async function streamed(seed: number, begun: () => void): Promise<string> {
    let text = '';
    try {
      for await (const chunk of chunksOf(await fleet.post('/v1/completions', { ...long(seed), stream: true }))) {
        text += chunk.choices[0]?.text ?? '';
        if (text.length > 40) begun();
      }
    } catch (error) {
      return String(error);
    }
    return text;
  }

  async function whenNoticed(): Promise<void> {
    for (;;) {
      const response = await fetch(`${fleet.url}/health/ready`);
      if (((await response.json()) as { degraded?: string }).degraded === 'nats') return;
    }
  }

  type Question = (typeof SHEET.questions)[number];
  /** The answers, or the errors instead of them. */
  function answersTo(questions: readonly Question[]): Promise<string[]> {
    const asked = questions.map(({ question }) => fleet.complete({ prompt: recallPrompt(SHEET, question) }));
    return Promise.all(asked.map((answer) => answer.then(({ choices }) => choices[0]!.text.trim(), String)));
  }

  it.each(['killed', 'stopped'] as const)(
    '%s: streams that run go on, and requests that come are answered',
    async (how) => {
      const seeds = [1, 2, 3, 4];
      const undisturbed = await Promise.all(
        seeds.map(async (seed) => (await fleet.complete(long(seed))).choices[0]!.text),
      );
      const before = await fleet.workers();

      const streams: Promise<string>[] = [];
      await Promise.all(seeds.map((seed) => new Promise<void>((begun) => streams.push(streamed(seed, begun)))));
      const back = await outages[how]();
      const atOnce = answersTo(SHEET.questions.slice(0, 4));
      await whenNoticed();
      const meanwhile = answersTo(SHEET.questions.slice(4, 8));
      await back();
      const afterwards = answersTo(SHEET.questions.slice(8, 12));

      expect((await Promise.all([atOnce, meanwhile, afterwards])).flat()).toEqual(
        SHEET.questions.slice(0, 12).map(({ answer }) => answer),
      );
      expect(await Promise.all(streams)).toEqual(undisturbed);
      const workers = await fleet.until((all) => all.every(({ state }) => state === 'serving'));
      expect(workers.map(({ id, incarnation }) => [id, incarnation])).toEqual(
        before.map(({ id, incarnation }) => [id, incarnation]),
      );
    },
  );
});
