import { afterEach, describe, expect, it } from 'vitest';
import { chunksOf } from '../../bench/fleet/chunks.js';
import { FleetApi } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Deferred } from '../../src/async/deferred.js';
import { Fleet } from './support/fleet.js';

const sheet = recallSheet(16, 12);
const prompt = recallPrompt(sheet, sheet.questions[0]!.question);
const LONG = { model: 'recall', prompt, max_tokens: 600, ignore_eos: true, temperature: 0.8, seed: 5 };

/** Reads a stream to its end. Calls `begun` with its first text. */
async function textOf(response: Response, begun: () => void): Promise<string> {
  let text = '';
  for await (const chunk of chunksOf(response)) {
    text += chunk.choices[0]?.text ?? '';
    if (text !== '') begun();
  }
  return text;
}

describe('two coordinators of one fleet', () => {
  let fleet: Fleet;

  afterEach(async () => {
    await fleet?.stop();
  });

  it('are independent: if one is killed, the streams on the other go on, and its own clients can retry there', async () => {
    fleet = await Fleet.up(['--workers', '1', '--coordinators', '2']);
    const [victim, other] = fleet.ready.coordinators;
    expect([victim!.id, other!.id, fleet.url]).toEqual(['coordinator-1', 'coordinator-2', victim!.url]);
    const api = new FleetApi(other!.url);
    const undisturbed = (await api.complete(LONG)).choices[0]!.text;
    const streams = [
      await fleet.post('/v1/completions', { ...LONG, stream: true }),
      await api.post('/v1/completions', { ...LONG, stream: true }),
    ];
    const began = streams.map(() => new Deferred<void>());
    const [cut, kept] = streams.map((response, i) => textOf(response, () => began[i]!.resolve()));
    const failed = cut!.then(
      () => 'complete',
      () => 'connection closed',
    );
    await Promise.all(began.map(({ promise }) => promise));
    process.kill(victim!.pid, 'SIGKILL');
    expect(await failed).toBe('connection closed');
    expect((await api.complete(LONG)).choices[0]!.text).toBe(undisturbed);
    expect(await kept).toBe(undisturbed);
    const back = async () => {
      while (!(await fleet.workers().catch(() => [])).some(({ state }) => state === 'serving'));
    };
    await back();
    expect((await fleet.complete({ prompt })).choices[0]!.text.trim()).toBe(sheet.questions[0]!.answer);
  });
});
