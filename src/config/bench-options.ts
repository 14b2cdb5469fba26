import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const BENCH = ['bench'] as const satisfies readonly Command[];
const TRACE_REQUESTS = 1_000_000;
const REPLAY_WORKERS = 512;

/** The options of single benchmarks. */
export const BENCH_OPTIONS = {
  out: option({
    flag: 'out',
    variable: 'SHOAL_OUT',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: BENCH,
    help: 'For replay: also writes the report as JSON to this file.',
  }),
  requests: option({
    flag: 'requests',
    variable: 'SHOAL_REQUESTS',
    placeholder: 'N',
    type: types.wholeNumber(1, TRACE_REQUESTS),
    default: null,
    defaultNote: 'all of a file, 5000 of a drawn trace',
    commands: BENCH,
    help: 'For replay: number of requests, from the first on.',
  }),
  replayWorkers: option({
    flag: 'replay-workers',
    variable: 'SHOAL_REPLAY_WORKERS',
    placeholder: 'N',
    type: types.wholeNumber(1, REPLAY_WORKERS),
    default: '3',
    commands: BENCH,
    help: 'For replay: number of simulated workers.',
  }),
  memoryPercent: option({
    flag: 'memory-percent',
    variable: 'SHOAL_MEMORY_PERCENT',
    placeholder: 'N',
    type: types.wholeNumber(1, 1_000),
    default: '10',
    commands: BENCH,
    help: 'For replay: memory of all workers together, in percent of the distinct blocks of the trace.',
  }),
  loadPercent: option({
    flag: 'load-percent',
    variable: 'SHOAL_LOAD_PERCENT',
    placeholder: 'N',
    type: types.wholeNumber(1, 1_000),
    default: '50',
    commands: BENCH,
    help: 'For replay: share of the time that the workers would compute without a cache. The times of the trace are stretched to give it.',
  }),
  kill: option({
    flag: 'kill',
    variable: 'SHOAL_KILL',
    placeholder: 'N',
    type: types.wholeNumber(0, 1_000),
    default: '0',
    commands: BENCH,
    help: 'For replay: number of times that a worker is killed, evenly over the trace. It comes back without its blocks.',
  }),
} as const satisfies OptionTable;
