import { NodeList } from '../../../src/runtime/core/node-list.js';
import { NodeResources } from '../../../src/runtime/core/node-resources.js';
import { ReferenceCount } from '../../../src/runtime/core/reference-count.js';
import { LeaseKeeper } from '../../../src/runtime/detached/lease-keeper.js';
import { NodeProbes } from '../../../src/runtime/member/node-probes.js';

/** Faulty versions of the runtime, which the simulation has to find. */
export const RUNTIME_MUTANTS = {
  /** A node acts for its detached actors however long the store has not heard it. */
  'a lease that is always valid': () => {
    Object.defineProperty(LeaseKeeper.prototype, 'valid', { get: () => true });
  },
  /** A process takes the silence of a bus that is not lost yet for the silence of the others, and does not look whether they are there. */
  'silence of the bus as evidence': () => {
    NodeList.prototype.echoed = () => undefined;
    NodeProbes.prototype.presenceOf = () => 'unknown';
  },
  /** A process that is gone keeps its references. */
  'references of the dead': () => {
    ReferenceCount.prototype.gone = () => [];
  },
  /** What has ended gives nothing back. */
  'resources that stay taken': () => {
    NodeResources.prototype.giveBack = () => undefined;
  },
} satisfies Record<string, () => void>;

export type RuntimeMutant = keyof typeof RUNTIME_MUTANTS;
