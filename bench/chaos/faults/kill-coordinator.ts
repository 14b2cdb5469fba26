import { atLeast, atMost, type Fault } from '../fault.js';
import { longRequest, readStream, undisturbed } from '../streams.js';

const STREAMS = 3;
const TOKENS = 400;

/** One of two coordinators dies while streams of both run. */
export const killCoordinator: Fault = {
  name: 'kill-coordinator',
  row: 'kill -9 a coordinator of two',
  passesWhen: "streams on the other undisturbed; the dead one's clients get a closed connection, and a retry succeeds",
  bounds: {
    disturbed_streams: atMost(0),
    closed_connections: atLeast(STREAMS),
    closed_ms: atMost(2_000),
    differing_retries: atMost(0),
  },
  needs: [],
  expectedS: 15,
  async run(context) {
    const fleet = await context.members({ workers: 2, coordinators: 2 });
    const [staying, dying] = fleet.apis;
    const bodies = Array.from({ length: 2 * STREAMS }, (_, i) => longRequest(i, TOKENS));
    const texts = await undisturbed(staying!, bodies);
    let begun = 0;
    const streams = bodies.map((body, i) => {
      let counted = false;
      return readStream(i < STREAMS ? staying! : dying!, body, () => {
        if (!counted) begun++;
        counted = true;
      });
    });
    await context.until('every stream has begun', 60_000, () => begun === 2 * STREAMS);
    await context.pause(context.between(0, 200));
    const killedMs = performance.now();
    void fleet.members.get('coordinator-2')!.stop('SIGKILL');
    const cut = await Promise.all(streams.slice(STREAMS));
    const closed_ms = Math.round(performance.now() - killedMs);
    const kept = await Promise.all(streams.slice(0, STREAMS));
    for (const { error } of kept) if (error !== null) context.note(error);
    const retries = await Promise.all(bodies.slice(STREAMS).map((body) => readStream(staying!, body)));
    return {
      disturbed_streams: kept.filter(({ text }, i) => text !== texts[i]).length,
      closed_connections: cut.filter(({ error }) => error !== null).length,
      closed_ms,
      differing_retries: retries.filter(({ text }, i) => text !== texts[STREAMS + i]).length,
    };
  },
};
