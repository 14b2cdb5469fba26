import { Corrupt } from '../errors.js';
import type { Service } from './service.js';

/** Answers a ping. */
export const PONG: Service = {
  start: (reply) => reply.finish({ type: 'pong' }),
  put: () => {
    throw new Corrupt('a peer sent a block for a request that is a ping');
  },
  filled: () => {},
  awaits: () => false,
  cancel: () => {},
  closed: () => {},
};
