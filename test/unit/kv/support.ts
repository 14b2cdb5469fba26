import { openAccess } from '../../../coordinator/access/open-access.js';
import { kvRoutes } from '../../../coordinator/http/routes/kv.js';
import { type HttpServer, listen } from '../../../coordinator/http/server.js';
import { NO_TRAIL } from '../../../coordinator/trail/trail.js';
import { SystemClock } from '../../../src/clock.js';
import { SILENT_LOG } from '../../../src/log.js';
import { CoarseUse } from '../../../src/objects/coarse-use.js';
import { FleetObjects } from '../../../src/objects/fleet-objects.js';
import { ValueStaging } from '../../../src/objects/value-staging.js';
import { SystemRandom } from '../../../src/random.js';
import { ALONE, type RespStation } from '../resp/support/resp-station.js';

const MiB = 2 ** 20;

/** `/v1/kv` on a real server, over the objects of one worker. */
export function kvServer({ objects: own }: RespStation, apiKeys: string[] = []): Promise<HttpServer> {
  const clock = new SystemClock();
  const wallMs = () => Date.now();
  const objects = new FleetObjects({
    ring: ALONE,
    clock,
    random: new SystemRandom(),
    nodeOf: () => own.home,
    own: { id: 'w', objects: own.home },
  });
  const config = { apiKeys, metricsKeys: [], keysFile: null, jwt: null, secret: 'a secret of the fleet' };
  const { access } = openAccess(config, { clock, log: SILENT_LOG, wallMs });
  return listen(
    kvRoutes({
      objects,
      objectBytes: 16 * MiB,
      coarse: new CoarseUse(),
      staging: new ValueStaging(64 * MiB),
      clock,
      wallMs,
    }),
    { host: '127.0.0.1', port: 0, closeGraceMs: 0 },
    { access, clock, log: SILENT_LOG, trail: NO_TRAIL, onEnd: () => {} },
  );
}
