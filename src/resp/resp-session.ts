import type { KeyedMutex } from '../async/keyed-mutex.js';
import type { Clock } from '../clock.js';
import { coarseCount } from '../core/coarse.js';
import { InvalidRequest } from '../errors.js';
import type { CoarseUse } from '../objects/coarse-use.js';
import { databaseSpace, type ObjectHash, type ObjectName, objectName } from '../objects/object-name.js';
import type { StoreUse } from '../objects/object-node.js';
import { ObjectValue } from '../objects/object-value.js';
import type { Objects } from '../objects/objects.js';
import { ReadFloors } from '../objects/read-floors.js';
import type { RespCommand } from './command.js';
import type { ReplyOutlet } from './reply-outlet.js';
import type { ReplyWriter } from './reply-writer.js';
import { OPEN_SPACE, type RespAccess, type RespCredentials, type RespPrincipal } from './resp-access.js';
import type { RespArg } from './resp-reader.js';

/** The session of one client of the Redis protocol: its settings, and the host that its commands work on. */

/** Databases of a space, which `SELECT` chooses among. */
export const DATABASES = 16;
/** Fewer clients than these are none, for one of several tenants. */
const LEAST_CLIENTS = 16;
/** The access by a revoked key or token ends within this time. */
const TRUST_MS = 5_000;

/** The process behind a port for the Redis protocol. */
export interface RespHost {
  readonly objects: Objects;
  readonly access: RespAccess;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly version: string;
  readonly role: 'worker' | 'coordinator';
  readonly id: string;
  /** Limit on the bytes of a value. */
  readonly objectBytes: number;
  /** The memory for objects in this process, for `INFO` and `CONFIG GET`: null in a coordinator. */
  readonly memory: () => StoreUse | null;
  /** The same, as one of several tenants may see it. */
  readonly coarse: CoarseUse;
  /** Serializes this process's replacements of one key that reply with the old value, so that they do not make each other fail. */
  readonly swaps: KeyedMutex<ObjectHash>;
  readonly port: () => number;
  readonly clients: () => number;
}

export class RespSession {
  principal: RespPrincipal | null;
  database = 0;
  name = '';
  library = { name: '', version: '' };
  /** The client asked to be disconnected. */
  leaving = false;
  commands = 0;
  readonly floors: ReadFloors;
  readonly startedMs: number;
  private credentials: RespCredentials | null = null;
  private checkedMs: number;
  /** Whether its commands that write may count against limits. */
  private limited = true;

  constructor(
    readonly host: RespHost,
    readonly id: number,
    readonly reply: ReplyWriter,
    readonly signal: AbortSignal,
    readonly outlet: ReplyOutlet,
    readonly address: string,
  ) {
    this.principal = host.access.anonymous();
    this.floors = new ReadFloors(host.clock);
    this.startedMs = host.clock.now();
    this.checkedMs = this.startedMs;
  }

  get objects(): Objects {
    return this.host.objects;
  }

  /** The space of the client's objects. */
  get space(): string {
    const { space } = this.principal!;
    return databaseSpace(space, this.database);
  }

  /** The tenant of the client; null where all clients are one. All unauthenticated clients together are one tenant. */
  get tenant(): string | null {
    if (this.principal === null) return '';
    const { space } = this.principal;
    return space === OPEN_SPACE ? null : space;
  }

  /** The memory for objects in this process, exact where all clients are one tenant; null in a coordinator. */
  get memory(): StoreUse | null {
    const { memory, coarse, clock } = this.host;
    const use = memory();
    return use === null || this.tenant === null ? use : coarse.at(clock.now(), use);
  }

  /** Clients of this port; rounded unless all are one tenant. */
  get clients(): number {
    const clients = this.host.clients();
    return this.tenant === null ? clients : coarseCount(clients, LEAST_CLIENTS);
  }

  /** @throws InvalidRequest for a key that is too long or empty */
  object(key: RespArg): ObjectName {
    return objectName(this.space, bytesOf(key));
  }

  /** Authenticates the client as the principal of a password. False if there is none. */
  async authenticate(user: string, password: string): Promise<boolean> {
    const principal = await this.host.access.authenticate(user, password);
    if (principal === null) return false;
    this.principal = principal;
    this.credentials = { user, password };
    this.checkedMs = this.host.clock.now();
    this.limited = true;
    return true;
  }

  /**
   * Counts a command against the limits of the client; undefined if it does not count.
   * @returns why it may not run now; null if it may
   */
  use({ name, flags, audited = false }: RespCommand): Promise<string | null> | undefined {
    if (!flags.includes('write') || this.principal === null) return undefined;
    if (!audited && (!this.limited || this.credentials === null)) return undefined;
    return this.count(name);
  }

  private async count(command: string): Promise<string | null> {
    const { credentials, address } = this;
    const { refused, limited } = await this.host.access.use({ credentials, command, address });
    this.limited = limited;
    return refused;
  }

  /** Whether it has to be checked again who the client is. */
  get stale(): boolean {
    const { access } = this.host;
    if (this.credentials === null) {
      return access.pending() !== null || (this.principal === null) !== (access.anonymous() === null);
    }
    return this.host.clock.now() - this.checkedMs > TRUST_MS;
  }

  /** Checks the client's principal again: its password may have been revoked. */
  async check(): Promise<void> {
    await this.host.access.pending();
    const { credentials } = this;
    this.principal = credentials === null ? this.host.access.anonymous() : null;
    if (credentials === null) return;
    const known = await this.authenticate(credentials.user, credentials.password);
    if (!known) this.credentials = null;
  }
}

/** The bytes of an argument that is not a value. @throws InvalidRequest if it is as long as one */
export function bytesOf(arg: RespArg): Buffer {
  if (Buffer.isBuffer(arg)) return arg;
  throw new InvalidRequest(`an argument of ${arg.bytes} bytes is too long here`);
}

export function textOf(arg: RespArg): string {
  return bytesOf(arg).toString('utf8');
}

/** The word of an option, in capitals. */
export function wordOf(arg: RespArg | undefined): string {
  return arg === undefined || !Buffer.isBuffer(arg) || arg.byteLength > 64 ? '' : arg.toString('latin1').toUpperCase();
}

/** The argument as a value, to which the caller has a reference. */
export function argValue(arg: RespArg): ObjectValue {
  return Buffer.isBuffer(arg) ? ObjectValue.of(arg) : arg.hold();
}
