import { atLeast, atMost, type Fault } from '../fault.js';
import { promptsOf } from '../prefixes.js';

const PINS = 3;
/** Notes of a long prompt. */
const NOTES = 60;
const BACK_MS = 60_000;

/** Coordinators die while they have pinned prompts computed. */
export const killPinKeeper: Fault = {
  name: 'kill-pin-keeper',
  row: 'kill -9 the coordinator that has taken a pin, before the prompt is computed, three times',
  passesWhen: 'the other coordinator has each accepted pin held within 60 s',
  bounds: { accepted_pins: atLeast(PINS), held_ms: atMost(BACK_MS - 1), missing_blocks: atMost(0) },
  needs: [],
  expectedS: 45,
  async run(context) {
    const fleet = await context.members({ workers: 2, coordinators: 2 });
    const staying = fleet.api;
    let accepted_pins = 0;
    let held_ms = 0;
    let missing_blocks = 0;
    for (let number = 0; number < PINS; number++) {
      const { prompt } = promptsOf(NOTES, 900 + number)[0]!;
      const { status } = await fleet.apis[1]!.post('/v1/cache/pin', { prompt, ttl_s: 3600 });
      if (status === 200) accepted_pins++;
      await fleet.members.get('coordinator-2')!.stop('SIGKILL');
      const tookMs = await context.timeUntil(BACK_MS, async () => {
        const pins = (await (await fetch(`${staying.url}/v1/cache/pins`)).json()) as { data: { state: string }[] };
        return pins.data.length === accepted_pins && pins.data.every(({ state }) => state === 'held');
      });
      held_ms = Math.max(held_ms, tookMs);
      missing_blocks += (await staying.copies(prompt)).filter((copies) => copies < 2).length;
      await fleet.startCoordinator('coordinator-2');
    }
    return { accepted_pins, held_ms, missing_blocks };
  },
};
