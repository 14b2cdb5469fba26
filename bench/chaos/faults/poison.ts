import { join } from 'node:path';
import { modelFolder } from '../../../src/config/model-folder.js';
import type { FleetApi } from '../../fleet/fleet-api.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import type { UpFleet } from '../../fleet/up-fleet.js';
import { brittleModel, CRASH_CHARACTER, CRASH_TOKEN } from '../brittle-model.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { promptsOf } from '../prefixes.js';
import { serving } from '../views.js';

const INNOCENT = 500;
const RETRIES = 12;
const BETWEEN_MS = 1_000;

/** One prompt crashes its workers. */
export const poisonousPrompt: Fault = {
  name: 'poison',
  row: 'a prompt that crashes a worker, sent again and again',
  passesWhen: 'at most 2 workers die of it, then it is a 4xx',
  bounds: {
    crashed: atLeast(1),
    deaths: atMost(2),
    refusals: atLeast(1),
    last_is_4xx: atLeast(1),
    failed_afterwards: atMost(0),
  },
  needs: ['crashes'],
  expectedS: 30,
  async run(context) {
    const fleet = await brittleFleet(context, ['--workers', '4', '--replicas', '2']);
    const statuses = await sendPoison(context, fleet, 4);
    const deaths = deathsIn(fleet.log);
    await context.until('all workers serve again', 60_000, async () => serving(await fleet.workers()).length === 4);
    const load = new RecallLoad(fleet, 2, 100);
    await load.more(10);
    const { failed_requests } = await context.harm(load);
    return { crashed: Math.min(1, deaths), deaths, ...refusalsIn(statuses), failed_afterwards: failed_requests! };
  },
};

/** The same during requests of other clients. */
export const poison12: Fault = {
  name: 'poison-12',
  row: 'a prompt that crashes workers, sent 12 times beside 500 innocent ones, with 6 workers',
  passesWhen: 'at most 2 deaths in all, then 4xx; innocent failed requests 0',
  bounds: {
    ...NO_HARM,
    crashed: atLeast(1),
    deaths: atMost(2),
    refusals: atLeast(1),
    last_is_4xx: atLeast(1),
    requests: atLeast(INNOCENT),
  },
  needs: ['crashes'],
  expectedS: 90,
  async run(context) {
    const args = ['--workers', '6', '--replicas', '2', '--cache-bytes', '128MiB'];
    const fleet = await brittleFleet(context, args);
    const load = context.load(new RecallLoad(fleet, 8, 100));
    await load.more(20);
    const statuses = await sendPoison(context, fleet, RETRIES);
    const deaths = deathsIn(fleet.log);
    await load.more(Math.max(1, INNOCENT - load.answers.length));
    return { ...(await context.harm(load)), crashed: Math.min(1, deaths), deaths, ...refusalsIn(statuses) };
  },
};

/** A fleet whose graph ends the process when it computes the character of a poisonous prompt. */
async function brittleFleet(context: ChaosContext, args: readonly string[]): Promise<UpFleet> {
  const model = join(context.folder, 'recall');
  await brittleModel(modelFolder(null), model, CRASH_TOKEN);
  return context.up([...args, '--model', model]);
}

/** Sends the same poison again and again, as a retrying client does. Resolves with the statuses; 0 for a broken connection. */
async function sendPoison(context: ChaosContext, fleet: FleetApi, times: number): Promise<number[]> {
  const prompt = `${promptsOf(16, 20_000 + context.random.below(1_000))[0]!.prompt}${CRASH_CHARACTER}`;
  const statuses: number[] = [];
  for (let i = 0; i < times; i++) {
    const body = { model: 'recall', prompt, max_tokens: 64, ignore_eos: true };
    const status = await fleet.post('/v1/completions', body).then(
      (response) => response.status,
      () => 0,
    );
    context.progress(`poison ${i + 1} of ${times}: status ${status}`);
    statuses.push(status);
    await context.pause(BETWEEN_MS);
  }
  return statuses;
}

/** The workers that ended, according to `shoal up`. */
function deathsIn(log: string): number {
  const ended = log.split('\n').filter((line) => /^\s*worker-\d+\s+ended: /.test(line) && !line.includes('too often'));
  return ended.length;
}

function refusalsIn(statuses: readonly number[]) {
  const refused = (status: number) => status >= 400 && status < 500 && status !== 429;
  return { refusals: statuses.filter(refused).length, last_is_4xx: refused(statuses.at(-1)!) ? 1 : 0 };
}
