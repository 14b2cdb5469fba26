import { BUNDLE_OPTIONS } from './bundle-options.js';
import { type OptionTable, option } from './option.js';
import * as types from './option-types.js';

/** Options of `shoal config print`. */
export const PRINT_OPTIONS = {
  file: option({ ...BUNDLE_OPTIONS.config, commands: ['config print'] }),
  json: option({
    flag: 'json',
    variable: 'SHOAL_JSON',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: ['config print'],
    help: 'Prints JSON on stdout.',
  }),
} as const satisfies OptionTable;
