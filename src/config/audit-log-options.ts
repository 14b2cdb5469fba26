import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const AUDIT = ['audit'] as const satisfies readonly Command[];
const DAY_MS = 86_400_000;
const name = types.text('1 to 256 characters', 1, 256);

/** The options that choose entries of an audit log. */
export const AUDIT_LOG_OPTIONS = {
  tenant: option({
    flag: 'tenant',
    variable: 'SHOAL_TENANT',
    placeholder: 'NAME',
    type: name,
    default: null,
    commands: AUDIT,
    help: 'Shows entries of this tenant alone.',
  }),
  key: option({
    flag: 'key',
    variable: 'SHOAL_KEY',
    placeholder: 'ID',
    type: name,
    default: null,
    commands: AUDIT,
    help: 'Shows entries of this key, or of this subject of tokens, alone.',
  }),
  requestId: option({
    flag: 'request-id',
    variable: 'SHOAL_REQUEST_ID',
    placeholder: 'ID',
    type: name,
    default: null,
    commands: AUDIT,
    help: 'Shows entries of this request alone.',
  }),
  route: option({
    flag: 'route',
    variable: 'SHOAL_ROUTE',
    placeholder: 'PATH',
    type: name,
    default: null,
    commands: AUDIT,
    help: 'Shows requests to routes that contain this text alone, such as /drain.',
  }),
  decision: option({
    flag: 'decision',
    variable: 'SHOAL_DECISION',
    placeholder: 'DECISION',
    type: types.choice('allowed', 'refused', 'failed'),
    default: null,
    commands: AUDIT,
    help: 'Shows requests alone that were allowed, refused, or allowed and failed.',
  }),
  since: option({
    flag: 'since',
    variable: 'SHOAL_SINCE',
    placeholder: 'TIME',
    type: types.duration(0, 3_650 * DAY_MS, '0s to 3650 days'),
    default: null,
    commands: AUDIT,
    help: 'Shows entries of this last time alone, such as 15m or 24h.',
  }),
  limit: option({
    flag: 'limit',
    variable: 'SHOAL_LIMIT',
    placeholder: 'N',
    type: types.wholeNumber(1, 1_000_000),
    default: '1000',
    commands: AUDIT,
    help: 'Shows the latest N of the chosen entries.',
  }),
} as const satisfies OptionTable;
