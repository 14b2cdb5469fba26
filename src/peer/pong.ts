import { Corrupt } from '../errors.js';
import type { Answer } from './answer.js';

/** Answers a ping. */
export const PONG: Answer = {
  start: (reply) => reply.finish({ type: 'pong' }),
  put: () => {
    throw new Corrupt('a peer sent a block for a request that is a ping');
  },
  filled: () => {},
  awaits: () => false,
  cancel: () => {},
  closed: () => {},
};
