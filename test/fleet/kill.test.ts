import { afterEach, describe, expect, it } from 'vitest';
import { chunksOf } from '../../bench/fleet/chunks.js';
import { pooled } from '../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../bench/fleet/recall-sheet.js';
import { Fleet } from './support/fleet.js';

describe('a killed worker', () => {
  let fleet: Fleet;

  afterEach(async () => {
    await fleet?.stop();
  });

  it('loses no answer: 100 running requests get 100 right answers', async () => {
    fleet = await Fleet.up(['--workers', '3', '--replicas', '2']);
    const sheets = [1, 2, 3, 4].map((seed) => recallSheet(24, seed));
    const asked = Array.from({ length: 100 }, (_, i) => {
      const sheet = sheets[i % sheets.length]!;
      const { question, answer } = sheet.questions[Math.floor(i / sheets.length) % 24]!;
      return { prompt: recallPrompt(sheet, question), answer };
    });
    const victim = fleet.ready.workers[1]!;
    let answered = 0;
    const answers = await pooled(
      asked.length,
      asked.map(({ prompt }) => async () => {
        const answer = await fleet.complete({ prompt });
        if (++answered === 10) process.kill(victim.pid, 'SIGKILL');
        return answer.choices[0]!.text.trim();
      }),
    );
    expect(answers).toEqual(asked.map(({ answer }) => answer));
    // The fleet may not have noticed the death yet: only the successor's pid shows that it has.
    await fleet.until((all) =>
      all.every(({ id, pid, state }) => state === 'serving' && (id !== victim.id || pid !== victim.pid)),
    );
  });

  it('leaves its prefixes to the surviving homes', async () => {
    fleet = await Fleet.up(['--workers', '3', '--replicas', '2']);
    const sheet = recallSheet(48, 5);
    const prompt = recallPrompt(sheet, sheet.questions[0]!.question);
    const first = await fleet.complete({ prompt });
    const copied = async () => {
      while ((await fleet.copies(prompt)).some((copies) => copies < 2));
    };
    await copied();
    const victim = fleet.ready.workers.find(({ id }) => id === first.shoal.worker)!;
    process.kill(victim.pid, 'SIGKILL');
    const second = await fleet.complete({ prompt });
    expect(second.shoal.worker).not.toBe(victim.id);
    expect(second.choices[0]!.text).toBe(first.choices[0]!.text);
    expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(448);
  });

  it('lets its streams continue on another worker, with unchanged text', async () => {
    fleet = await Fleet.up(['--workers', '2', '--replicas', '1']);
    const sheet = recallSheet(16, 6);
    const body = {
      prompt: recallPrompt(sheet, sheet.questions[0]!.question),
      max_tokens: 1_000,
      ignore_eos: true,
      temperature: 0.8,
      seed: 3,
    };
    const undisturbed = await fleet.complete(body);
    const response = await fleet.post('/v1/completions', {
      ...body,
      model: 'recall',
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let killed = false;
    for await (const chunk of chunksOf(response)) {
      text += chunk.choices[0]?.text ?? '';
      if (killed || text.length < 40) continue;
      killed = true;
      const workers = await fleet.until((all) => all.some(({ running }) => running > 0));
      process.kill(workers.find(({ running }) => running > 0)!.pid, 'SIGKILL');
    }
    expect(text).toBe(undisturbed.choices[0]!.text);
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text();
    expect(/^shoal_requests_resumed_total (\d+)$/m.exec(metrics)?.[1]).toBe('1');
  });
});
