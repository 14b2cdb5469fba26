import { NatsCluster } from '../../fleet/nats-cluster.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { longRequest, readStream, undisturbed } from '../streams.js';
import { serving } from '../views.js';

const RESTARTS = 8;
const EVERY_MS = 2_000;
const STREAMS = 4;
const TOKENS = 400;

/** NATS is restarted again and again. */
export const natsRestarts: Fault = {
  name: 'nats-restarts',
  row: 'NATS restarted 8 times in 16 s, under load and with long streams',
  passesWhen: 'failed requests 0; no stream differs',
  bounds: { ...NO_HARM, failed_streams: atMost(0), differing_streams: atMost(0) },
  needs: [],
  expectedS: 50,
  async run(context) {
    const fleet = await context.members();
    const bodies = Array.from({ length: STREAMS }, (_, i) => longRequest(i, TOKENS));
    const texts = await undisturbed(fleet.api, bodies);
    const load = context.load(new RecallLoad(fleet.api, 3, 100));
    const streams = [];
    for (let i = 0; i < RESTARTS; i++) {
      if (i % 2 === 0) streams.push(readStream(fleet.api, bodies[i / 2]!));
      const startMs = performance.now();
      await context.pause(context.between(100, EVERY_MS / 2));
      await fleet.stopNats();
      await fleet.startNats();
      await context.pause(Math.max(0, EVERY_MS - (performance.now() - startMs)));
    }
    const read = await Promise.all(streams);
    for (const { error } of read) if (error !== null) context.note(error);
    return {
      ...(await context.harm(load)),
      failed_streams: read.filter(({ error }) => error !== null).length,
      differing_streams: read.filter(({ text, error }, i) => error === null && text !== texts[i]).length,
    };
  },
};

/** One server of a NATS cluster dies. */
export const natsCluster: Fault = {
  name: 'nats-cluster',
  row: 'one of three NATS servers killed, with --nats a,b,c, under load',
  passesWhen: 'failed requests 0; all workers serve',
  bounds: { ...NO_HARM, processes_ended: atMost(0), serve_again_ms: atMost(10_000) },
  needs: [],
  expectedS: 30,
  async run(context) {
    const cluster = await NatsCluster.start(context.natsServer, context.folder, 3);
    context.life.use(cluster, () => cluster.stop());
    const fleet = await context.up(['--workers', '3', '--nats', cluster.urls]);
    const pids = await fleet.pids();
    const load = context.load(new RecallLoad(fleet, 3, 100));
    await context.pause(2_000);
    await cluster.kill(context.random.below(3));
    await context.pause(8_000);
    const serve_again_ms = await context.timeUntil(20_000, async () => serving(await fleet.workers()).length === 3);
    const now = await fleet.pids();
    const processes_ended = pids.filter((pid) => !now.includes(pid)).length;
    return { ...(await context.harm(load)), processes_ended, serve_again_ms };
  },
};
