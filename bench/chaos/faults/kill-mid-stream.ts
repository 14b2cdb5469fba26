import { atLeast, atMost, type Fault } from '../fault.js';
import { longRequest, readStream, undisturbed } from '../streams.js';
import { rowOf } from '../views.js';

const STREAMS = 4;
const TOKENS = 400;

/** A worker dies while it answers. */
export const killMidStream: Fault = {
  name: 'kill-mid-stream',
  row: 'kill -9 a worker in mid-stream',
  passesWhen: 'the stream continues elsewhere; its text equals the undisturbed one',
  bounds: { failed_requests: atMost(0), differing_streams: atMost(0), resumed_streams: atLeast(1) },
  needs: [],
  expectedS: 15,
  async run(context) {
    const fleet = await context.up(['--workers', '3', '--replicas', '2']);
    const bodies = Array.from({ length: STREAMS }, (_, i) => longRequest(i, TOKENS));
    const texts = await undisturbed(fleet, bodies);
    const killAt = 20 + context.random.below(200);
    let begun = 0;
    const streams = bodies.map((body) => {
      let counted = false;
      return readStream(fleet, body, (text) => {
        if (counted || text.length < killAt) return;
        counted = true;
        begun++;
      });
    });
    const started = performance.now();
    await context.until('every stream has begun', 60_000, () => begun === STREAMS);
    const busy = (await fleet.workers()).filter(({ running }) => running > 0);
    const victim = context.pick(busy.length > 0 ? busy : await fleet.workers());
    context.progress(
      `killing ${victim.id} ${Math.round(performance.now() - started)} ms after the start of the streams`,
    );
    process.kill(rowOf(await fleet.workers(), victim.id).pid, 'SIGKILL');
    const read = await Promise.all(streams);
    for (const { error } of read) if (error !== null) context.note(error);
    return {
      failed_requests: read.filter(({ error }) => error !== null).length,
      differing_streams: read.filter(({ text }, i) => text !== texts[i]).length,
      resumed_streams: await fleet.metric('shoal_requests_resumed_total'),
    };
  },
};
