import { type OptionTable, option } from './option.js';
import * as types from './option-types.js';

/** Options of workers that leave a fleet. */
export const DRAIN_OPTIONS = {
  handOver: option({
    flag: 'hand-over',
    variable: 'SHOAL_HAND_OVER',
    placeholder: 'TIME',
    type: types.duration(0, 3_600_000, '0s to 1h'),
    default: '3s',
    commands: ['worker'],
    help: 'Time for a worker that is told to stop to hand its blocks to their next homes. It ends as soon as all are there. Whatever stops it must wait for that long, and 15 s more.',
  }),
  drainTimeout: option({
    flag: 'drain-timeout',
    variable: 'SHOAL_DRAIN_TIMEOUT',
    placeholder: 'TIME',
    type: types.duration(0, 24 * 3_600_000, '0s to 24h'),
    default: '10m',
    commands: ['drain'],
    help: 'Time to wait until the worker can end.',
  }),
  force: option({
    flag: 'force',
    variable: 'SHOAL_FORCE',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: ['drain'],
    help: 'Drains the worker also if no other one serves, so that the fleet refuses all requests.',
  }),
} as const satisfies OptionTable;
