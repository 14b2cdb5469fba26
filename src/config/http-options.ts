import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const COORDINATOR = ['up', 'coordinator'] as const satisfies readonly Command[];
/** `shoal up` publishes no ports of a container. */
const ONE_ROLE = ['coordinator'] as const satisfies readonly Command[];

/** Limit on the entries of a list of hosts or origins. */
const ENTRIES = 256;
const LEAST_BODY_BUDGET_BYTES = 16 * 2 ** 20;

/** The options that restrict the callers, names and connections of the HTTP API. */
export const HTTP_OPTIONS = {
  allowedHosts: option({
    flag: 'allowed-hosts',
    variable: 'SHOAL_ALLOWED_HOSTS',
    placeholder: 'NAME,...',
    type: types.listOf(
      ENTRIES,
      'host names without a port, such as shoal or *.example.com, or * for every name',
      /^(\*|(\*\.)?[\w-]+(\.[\w-]+)*\.?|\[?[\da-f]*:[\da-f:.]+\]?)$/i,
    ),
    default: null,
    defaultNote: 'loopback names and --host; with --host 0.0.0.0 also every IP address and the name of this machine',
    commands: COORDINATOR,
    help: 'Further names under which clients may call the HTTP API: those of a Service, an Ingress, a reverse proxy or a DNS entry. Requests for other names get 403.',
  }),
  allowedOrigins: option({
    flag: 'allowed-origins',
    variable: 'SHOAL_ALLOWED_ORIGINS',
    placeholder: 'URL,...',
    type: types.listOf(
      ENTRIES,
      'origins such as https://app.example.com, without a path, or * for every page',
      /^(\*|[a-z][a-z\d+.-]*:\/\/[^\s/@,?#]+)$/,
    ),
    default: null,
    defaultNote: 'none: pages of other sites get 403',
    commands: COORDINATOR,
    help: 'Origins of pages whose browsers may call the part of the API that generates and tokenizes (CORS).',
  }),
  insecure: option({
    flag: 'insecure',
    variable: 'SHOAL_INSECURE',
    placeholder: null,
    type: types.onOff,
    default: 'off',
    commands: [...COORDINATOR, 'worker'],
    help: 'Allows --host and --redis-host to be addresses that others can reach while no API key is needed.',
  }),
  uds: option({
    flag: 'uds',
    variable: 'SHOAL_UDS',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: ONE_ROLE,
    help: 'Unix socket on which the HTTP API listens too, without TLS, for processes of the same user.',
  }),
  publishedHost: option({
    flag: 'published-host',
    variable: 'SHOAL_PUBLISHED_HOST',
    placeholder: 'HOST',
    type: types.host,
    default: null,
    defaultNote: '--host',
    commands: ONE_ROLE,
    help: 'In a container: the address of the host on which the port is published. It decides, instead of --host, whether API keys are needed.',
  }),
  bodyBudget: option({
    flag: 'body-budget',
    variable: 'SHOAL_BODY_BUDGET',
    placeholder: 'BYTES',
    type: types.byteSize(LEAST_BODY_BUDGET_BYTES, '16MiB'),
    default: null,
    defaultNote: 'an eighth of the free memory, 64MiB to 1GiB',
    unit: 'bytes',
    commands: COORDINATOR,
    help: 'Memory of a coordinator for all request bodies together. Further bodies get 429.',
  }),
  shutdownTimeout: option({
    flag: 'shutdown-timeout',
    variable: 'SHOAL_SHUTDOWN_TIMEOUT',
    placeholder: 'TIME',
    type: types.duration(0, 3_600_000, '0s to 1h'),
    default: '20s',
    commands: ONE_ROLE,
    help: 'Time that running answers have to end when a coordinator is told to stop; those that take longer end with an error. Whatever stops it must wait for that long, and 10 s more. In shoal up, 8 s.',
  }),
  tlsKey: option({
    flag: 'tls-key',
    variable: 'SHOAL_TLS_KEY',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'none: plain HTTP',
    commands: COORDINATOR,
    reload: 'file',
    help: 'Private key (PEM) of the HTTP API, which then speaks TLS only. The files are read again when they change.',
  }),
  tlsCert: option({
    flag: 'tls-cert',
    variable: 'SHOAL_TLS_CERT',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    commands: COORDINATOR,
    reload: 'file',
    help: 'Certificate (PEM) for --tls-key, followed by those between it and the authority.',
  }),
  tlsClientCa: option({
    flag: 'tls-client-ca',
    variable: 'SHOAL_TLS_CLIENT_CA',
    placeholder: 'FILE',
    type: types.path,
    default: null,
    defaultNote: 'none: clients need no certificate',
    commands: COORDINATOR,
    reload: 'file',
    help: 'Certificate (PEM) of an authority. Clients then need a certificate that it signed, except for /health.',
  }),
} as const satisfies OptionTable;
