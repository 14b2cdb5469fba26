import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

/** Coordinators dial workers too, to see whether they live. */
const ONE_ROLE = ['coordinator', 'worker'] as const satisfies readonly Command[];

/** TLS between the processes of a fleet, for networks that others use. */
export const PEER_TLS_OPTIONS = {
  peerTlsKey: option({
    flag: 'peer-tls-key',
    variable: 'SHOAL_PEER_TLS_KEY',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'none: peers speak plain TCP',
    commands: ONE_ROLE,
    help: 'Private key (PEM) with which this process speaks TLS to peers. All of a fleet do, or none.',
  }),
  peerTlsCert: option({
    flag: 'peer-tls-cert',
    variable: 'SHOAL_PEER_TLS_CERT',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ONE_ROLE,
    help: "Certificate (PEM) of that key, signed by the fleet's authority.",
  }),
  peerTlsCa: option({
    flag: 'peer-tls-ca',
    variable: 'SHOAL_PEER_TLS_CA',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ONE_ROLE,
    help: "Certificate (PEM) of the fleet's authority, which signs for its members and nobody else.",
  }),
} as const satisfies OptionTable;
