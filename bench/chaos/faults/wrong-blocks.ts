import { Unavailable } from '../../../src/errors.js';
import { atLeast, atMost, type Fault } from '../fault.js';

/** A member serves wrong blocks with digests that match them. */
export const wrongBlocks: Fault = {
  name: 'wrong-blocks',
  row: 'a member that serves wrong blocks with right digests',
  passesWhen: 'found by the audit, quarantined, named; answers right afterwards',
  bounds: { quarantined: atLeast(1), wrong_answers: atMost(0) },
  needs: [],
  expectedS: 0,
  run() {
    throw new Unavailable('shoal has no audit yet that finds such a member');
  },
};
