import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const BUNDLE = ['debug bundle'] as const satisfies readonly Command[];
/** Log files in one bundle. */
const LOG_FILES = 16;
/** Processes in one bundle, beside the coordinator. */
const PROCESSES = 64;

/** Options of `shoal debug bundle`, and the file that holds options of others. */
export const BUNDLE_OPTIONS = {
  bundleFile: option({
    flag: 'bundle-file',
    variable: 'SHOAL_BUNDLE_FILE',
    placeholder: 'FILE',
    type: types.path,
    default: 'shoal-bundle.tar.gz',
    commands: BUNDLE,
    help: 'File to write, which must not exist.',
  }),
  logs: option({
    flag: 'logs',
    variable: 'SHOAL_LOGS',
    placeholder: 'FILE,...',
    type: types.list(`1 to ${LOG_FILES} paths, separated by commas`, LOG_FILES),
    default: null,
    commands: BUNDLE,
    help: 'Log files to include; the last 4 MiB of each are taken.',
  }),
  processes: option({
    flag: 'processes',
    variable: 'SHOAL_PROCESSES',
    placeholder: 'URL,...',
    type: types.list(`1 to ${PROCESSES} URLs, separated by commas`, PROCESSES),
    default: null,
    commands: BUNDLE,
    help: 'Addresses of further coordinators, and of the metrics of workers and nodes, to include.',
  }),
  config: option({
    flag: 'config',
    variable: 'SHOAL_CONFIG',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ['up', 'coordinator', 'worker', 'node', 'run', 'debug bundle'],
    help: 'YAML file of options: the names of flags without dashes before them, and their values. Flags and variables win over it.',
  }),
} as const satisfies OptionTable;
