import { setTimeout as pause } from 'node:timers/promises';
import { readValues } from '../src/config/config.js';
import { Unavailable } from '../src/errors.js';
import type { CommandContext } from './context.js';
import { CoordinatorClient, type DepartureAnswer } from './coordinator-client.js';

/** `shoal drain WORKER`: makes a worker hand its blocks over, and waits until it can end. `shoal undrain WORKER`: makes it serve again. */

const POLL_INTERVAL_MS = 500;
/** Consecutive answers that must say that the worker can end: the second includes changes that the first missed. */
const SAFE_ANSWERS = 2;

/** The exit code is 0 once the worker can end. @throws Unavailable if it cannot within `--drain-timeout`; it then still drains */
export async function drain(context: CommandContext): Promise<number> {
  const { url, apiKey, json, drainTimeout, force } = readValues('drain', context);
  const client = new CoordinatorClient(url, apiKey);
  const id = context.args[0] ?? '';
  if (!force) await checkNotLast(client, id);
  await client.drain(id);
  const startedMs = performance.now();
  let safe = 0;
  let told = '';
  for (;;) {
    const departure = await client.departure(id);
    safe = departure.safe ? safe + 1 : 0;
    if (safe === SAFE_ANSWERS) {
      context.io.out(json ? `${JSON.stringify(departure)}\n` : `worker ${id} may end: ${departure.why}\n`);
      return 0;
    }
    if (!departure.safe && performance.now() - startedMs > drainTimeout) throw unsafe(departure);
    if (!departure.safe && departure.why !== told && !json) context.io.out(`worker ${id}: ${departure.why}\n`);
    told = departure.why;
    await pause(POLL_INTERVAL_MS);
  }
}

/** @throws Unavailable if no other worker serves */
async function checkNotLast(client: CoordinatorClient, id: string): Promise<void> {
  const { workers } = await client.fleet();
  const serving = workers.filter(({ state }) => state === 'serving').map((worker) => worker.id);
  if (!serving.includes(id) || serving.length > 1) return;
  throw new Unavailable(
    `worker ${id} is the only one that serves, and without it the fleet refuses all requests; start another one, or add --force`,
  );
}

export async function undrain(context: CommandContext): Promise<number> {
  const { url, apiKey } = readValues('undrain', context);
  const id = context.args[0] ?? '';
  await new CoordinatorClient(url, apiKey).undrain(id);
  context.io.out(`worker ${id} serves again\n`);
  return 0;
}

function unsafe({ id, why }: DepartureAnswer): Unavailable {
  return new Unavailable(
    `worker ${id} must not end yet: ${why}; it drains on: wait with a longer --drain-timeout, give the others more memory, or run shoal undrain ${id}`,
  );
}
