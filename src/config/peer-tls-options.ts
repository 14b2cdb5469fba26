import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

// Coordinators dial workers too, to notice their death.
const ONE_ROLE = [
  'coordinator',
  'worker',
  'node',
  'run',
  'list',
  'inspect',
  'logs',
] as const satisfies readonly Command[];

/** The options for TLS between peers, needed on networks shared with others. */
export const PEER_TLS_OPTIONS = {
  peerTlsKey: option({
    flag: 'peer-tls-key',
    variable: 'SHOAL_PEER_TLS_KEY',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'none: peers use plain TCP',
    commands: ONE_ROLE,
    help: 'Private key (PEM) for TLS between peers. Either all members of a fleet use TLS, or none.',
  }),
  peerTlsCert: option({
    flag: 'peer-tls-cert',
    variable: 'SHOAL_PEER_TLS_CERT',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ONE_ROLE,
    help: "Certificate (PEM) for --peer-tls-key, signed by the fleet's certificate authority.",
  }),
  peerTlsCa: option({
    flag: 'peer-tls-ca',
    variable: 'SHOAL_PEER_TLS_CA',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ONE_ROLE,
    help: "Certificate (PEM) of the fleet's certificate authority, which must sign for members of the fleet only.",
  }),
} as const satisfies OptionTable;
