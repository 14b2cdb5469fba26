import { Corrupt } from '../../errors.js';
import type { Answer } from './answer.js';

/** Answers a ping. */
export const PONG: Answer = {
  start: (reply) => reply.finish({ type: 'pong' }),
  put: () => {
    throw new Corrupt('a peer sent a block for a request that is a ping');
  },
  filled: () => {},
  returned: () => {
    throw new Corrupt('a peer gave back blocks that nobody lent: its request is a ping');
  },
  awaits: () => false,
  cancel: () => {},
  closed: () => {},
};
