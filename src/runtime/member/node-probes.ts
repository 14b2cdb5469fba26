import type { Clock } from '../../clock.js';
import type { KnockAnswer } from '../../core/knock-answer.js';
import type { PeerAddress } from '../../core/member.js';
import type { PeerNetwork } from '../../peer/wire/network.js';
import { type Endpoint, endpointsOf } from '../../peer/wire/socket.js';
import type { NodeView } from '../core/node-view.js';

/** Finds out whether the processes of silent nodes are still there. */

/** A system that does not answer for so long cannot be reached. */
const ANSWER_MS = 1_000;
/** Time between two probes of a node. */
const INTERVAL_MS = 2_000;
/** An answer is older if it is of an earlier silence: nobody asks while a node is heard. */
const BELIEVED_MS = INTERVAL_MS + ANSWER_MS;

interface Probe {
  presence: KnockAnswer;
  askedMs: number;
  isOpen: boolean;
}

export interface NodeProbesOptions {
  readonly network: Pick<PeerNetwork, 'knock'>;
  readonly clock: Clock;
  /** The machine this process is on, as in `PeerAddress`. */
  readonly hostId: string;
}

export class NodeProbes {
  /** By incarnation. */
  private readonly probes = new Map<string, Probe>();

  constructor(private readonly options: NodeProbesOptions) {}

  /** What the last probe of a node has shown. Begins the next one if that was too long ago. */
  presenceOf({ incarnation, address }: NodeView): KnockAnswer {
    if (address === null) return 'unknown';
    const probe = this.probes.get(incarnation) ?? {
      presence: 'unknown',
      askedMs: Number.NEGATIVE_INFINITY,
      isOpen: false,
    };
    this.probes.set(incarnation, probe);
    const ageMs = this.options.clock.now() - probe.askedMs;
    if (!probe.isOpen && ageMs > BELIEVED_MS) probe.presence = 'unknown';
    if (!probe.isOpen && ageMs >= INTERVAL_MS) void this.ask(probe, address);
    return probe.presence;
  }

  /** A node is gone. */
  forget(incarnation: string): void {
    this.probes.delete(incarnation);
  }

  private async ask(probe: Probe, address: PeerAddress): Promise<void> {
    const { clock, network } = this.options;
    probe.isOpen = true;
    probe.askedMs = clock.now();
    const found = await Promise.all(this.endpoints(address).map((endpoint) => network.knock(endpoint, ANSWER_MS)));
    probe.presence = jointly(found);
    probe.isOpen = false;
  }

  /** None if this host can dial no address of the node. */
  private endpoints(address: PeerAddress): readonly Endpoint[] {
    try {
      return endpointsOf(address, this.options.hostId);
    } catch {
      return [];
    }
  }
}

/** It has ended if nobody listens at any of its addresses. */
function jointly(found: readonly KnockAnswer[]): KnockAnswer {
  if (found.includes('there')) return 'there';
  return found.length > 0 && found.every((presence) => presence === 'ended') ? 'ended' : 'unknown';
}
