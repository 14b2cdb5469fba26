/** The port for access to the Redis protocol: which clients must authenticate, and the space of objects that a client sees. */

export interface RespPrincipal {
  /** The space of its objects. */
  readonly space: string;
  /** Safe to show. */
  readonly name: string;
}

/** A command that writes, for the limits of its client and the audit log. */
export interface RespUse {
  /** What the client has proved itself with; null where nobody needs a key. */
  readonly credentials: RespCredentials | null;
  /** The name of the command. */
  readonly command: string;
  readonly address: string;
}

export interface RespCredentials {
  readonly user: string;
  readonly password: string;
}

export interface RespVerdict {
  /** Why the command may not run now; null if it may. */
  readonly refused: string | null;
  /** Whether the client has limits, so that each of its commands counts. */
  readonly limited: boolean;
}

export interface RespAccess {
  /** The principal of a client that has not authenticated; null if it must send `AUTH`. */
  anonymous(): RespPrincipal | null;
  /** Resolves once it is known whether clients need a key, or after a bounded wait; null if it is known. Until then no client is admitted. */
  pending(): Promise<void> | null;
  /** The principal of a password; null if there is none. Rejects with `Unavailable` if that cannot be known now. */
  authenticate(user: string, password: string): Promise<RespPrincipal | null>;
  /** Counts a command that writes against the limits of its client, and notes it in the audit log if it belongs there. */
  use(use: RespUse): RespVerdict | Promise<RespVerdict>;
}

/** The space of all clients where no key is needed. */
export const OPEN_SPACE = 'open';

/** The command may run, and those after it need not be counted. @internal exported for tests. */
export const UNLIMITED: RespVerdict = { refused: null, limited: false };

/** Access without keys. @internal exported for tests. */
export const OPEN_ACCESS: RespAccess = {
  anonymous: () => ({ space: OPEN_SPACE, name: 'default' }),
  pending: () => null,
  authenticate: async () => null,
  use: () => UNLIMITED,
};
