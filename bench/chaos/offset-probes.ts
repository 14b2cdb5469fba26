import { PeerClient } from '../../src/peer/client/peer-client.js';
import type { MemberFleet } from './member-fleet.js';

/** Spoils one byte after another of whole exchanges with a worker: the handshake, a request and its answer. */

const PROBER = 'prober';
const TIMEOUT_MS = 5_000;
/** More than an exchange has in one direction. */
const MOST_BYTES = 4_096;

export interface ProbedOffsets {
  /** Exchanges with a flipped bit, or cut off, at one offset each. */
  readonly offsets_probed: number;
  /** Spoilt probes that were answered nevertheless. */
  readonly spoilt_but_answered: number;
}

/** Probes every offset of both directions. The fleet's connections must go through proxies. */
export async function probeOffsets(fleet: MemberFleet, worker: string): Promise<ProbedOffsets> {
  const { incarnation } = (await fleet.api.workers()).find(({ id }) => id === worker)!;
  const fingerprint = await fleet.fingerprint();
  const { host: tcpHost, port: tcpPort } = fleet.proxyOf(worker);
  const address = { hostId: 'elsewhere', unixPath: null, tcpHost, tcpPort };
  const target = { id: worker, incarnation, generation: 0, address };
  /** Whether the worker answered. */
  const exchange = async (id: string): Promise<boolean> => {
    const identity = { id, incarnation: '1', fingerprint };
    const client = new PeerClient({ identity, hostId: 'here', secret: fleet.secret, blockBytes: 1 });
    try {
      await client.ping(target, TIMEOUT_MS);
      return true;
    } catch {
      return false;
    } finally {
      client.close();
    }
  };
  const lanes = (['flip', 'cut'] as const).flatMap((kind) => ['to', 'from'].map((direction) => ({ kind, direction })));
  const probed = await Promise.all(
    lanes.map(async ({ kind, direction }) => {
      const id = `${PROBER}-${kind}-${direction}`;
      const [from, to] = direction === 'to' ? [id, worker] : [worker, id];
      let answered = 0;
      for (let at = 0; at < MOST_BYTES; at++) {
        let isSpoilt = false;
        const onSpoilt = () => {
          isSpoilt = true;
        };
        fleet.wires.set(from, to, { kind, at, onSpoilt });
        const ok = await exchange(id);
        if (!isSpoilt) return { offsets: at, answered };
        if (ok) answered++;
      }
      throw new Error(`an exchange has more than ${MOST_BYTES} bytes in one direction`);
    }),
  );
  return {
    offsets_probed: probed.reduce((sum, { offsets }) => sum + offsets, 0),
    spoilt_but_answered: probed.reduce((sum, { answered }) => sum + answered, 0),
  };
}
