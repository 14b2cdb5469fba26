import { SystemClock } from '../clock.js';
import { clusterSecret } from '../config/cluster-secret.js';
import { readValues } from '../config/config.js';
import { objectsConfig } from '../config/hosting-config.js';
import { readMachine } from '../config/machine.js';
import { DEFAULT_NATS_URL, natsAccess } from '../config/nats-access.js';
import { fleetName } from '../config/option-types.js';
import { peerTls } from '../config/peer-tls.js';
import { Cancelled, InvalidRequest, Unavailable } from '../errors.js';
import { Lifecycle } from '../lifecycle.js';
import { createLog } from '../log.js';
import { timeLimit } from './client/checked.js';
import type { FleetClient } from './client/fleet-client.js';
import { joinRuntime } from './join.js';

/** Connects a program to a fleet. */

const DEFAULT_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  /** Default: the variable SHOAL_SECRET, or the file that SHOAL_SECRET_FILE names. */
  readonly secret?: string;
  /** Default: SHOAL_NAMESPACE, or `shoal`. */
  readonly namespace?: string;
  /** Credentials for NATS, unless they are in the URL. Default: SHOAL_NATS_USER and SHOAL_NATS_PASSWORD. */
  readonly user?: string;
  readonly password?: string;
  /** URL of a coordinator, for `near: { prefix }`. Default: SHOAL_URL, or `http://127.0.0.1:8080`; the key is in SHOAL_API_KEY. */
  readonly coordinator?: string;
  /** Name of this program in lists. */
  readonly id?: string;
  /** Classes of errors that actors throw, so that they arrive in them. */
  readonly errors?: readonly unknown[];
  /** Time for NATS to answer. Default: 10 s. */
  readonly timeoutMs?: number;
}

/**
 * Connects to a fleet as a driver, which hosts nothing, and hears of its nodes. `url`: the NATS server of the fleet, by default SHOAL_NATS.
 * @throws InvalidRequest without a secret or with a wrong namespace, Refused if the fleet has another secret, Unavailable if NATS does not answer in
 * time, WrongUsage for a wrong variable
 */
export async function connect(url?: string, options: ConnectOptions = {}): Promise<FleetClient> {
  const values = readValues('run', { flags: {}, environment: process.env });
  const secret = options.secret ?? clusterSecret(values);
  if (secret === null) {
    throw new InvalidRequest(
      'secret: must be the secret of the fleet, got nothing; pass it, or set SHOAL_SECRET',
      'secret',
    );
  }
  const namespace = namespaceOf(options.namespace ?? values.namespace);
  const id = options.id ?? `driver-${readMachine().nameEnd}`;
  const natsUser = options.user ?? values.natsUser;
  const natsPassword = options.password ?? values.natsPassword;
  const nats = natsAccess(url ?? values.nats ?? DEFAULT_NATS_URL, { ...values, natsUser, natsPassword });
  const log = createLog({ level: values.logLevel ?? 'warn', fields: { role: 'driver', driver: id } });
  return Lifecycle.build(async (life) => {
    const timeoutMs = timeLimit(options.timeoutMs) ?? DEFAULT_TIMEOUT_MS;
    const joined = await joinInTime(timeoutMs, (leaving) =>
      joinRuntime(life, {
        ...{ kind: 'driver', role: 'node', id, namespace, nats, secret, leaving, listen: null, worker: null },
        peerTls: peerTls(values),
        objects: objectsConfig(values),
        coordinator: { url: options.coordinator ?? values.url, apiKey: values.apiKey },
        log,
        onClose: () => life.stop(),
      }),
    );
    joined.fleet.knowErrors(options.errors ?? []);
    const unheard = await joined.member.rollCall.unheard();
    if (unheard.length > 0) log.warn({ nodes: unheard }, 'some nodes of the fleet have not answered yet');
    return joined.fleet;
  });
}

/** @throws InvalidRequest if a fleet may not have this name */
function namespaceOf(given: string): string {
  const { data, error } = fleetName.check.safeParse(given);
  if (data !== undefined) return data;
  throw new InvalidRequest(`namespace: ${error?.issues[0]?.message}, got ${JSON.stringify(given)}`, 'namespace');
}

async function joinInTime<T>(timeoutMs: number, join: (leaving: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = new SystemClock().after(timeoutMs, () => late.abort());
  try {
    return await join(late.signal);
  } catch (error) {
    if (error instanceof Cancelled)
      throw new Unavailable(`cannot connect to the fleet: NATS did not answer within ${timeoutMs} ms`);
    throw error;
  } finally {
    timer.cancel();
  }
}
