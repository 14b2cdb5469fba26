/** The port to those who may use the Redis protocol: which clients have to prove themselves, and whose objects they see. */

export interface RespPrincipal {
  /** The space of its objects. */
  readonly space: string;
  /** Safe to show. */
  readonly name: string;
}

export interface RespAccess {
  /** Who a client is that has sent nothing; null if it has to send `AUTH`. */
  anonymous(): RespPrincipal | null;
  /** Resolves when it is known whether clients need a key, or not soon; null if it is known. Until then nobody is let in. */
  pending(): Promise<void> | null;
  /** The principal of a password; null if there is none. Rejects with `Unavailable` if that cannot be known now. */
  authenticate(user: string, password: string): Promise<RespPrincipal | null>;
}

/** The space of all clients where nobody needs a key. */
export const OPEN_SPACE = 'open';

/** Access without keys. @internal exported for tests. */
export const OPEN_ACCESS: RespAccess = {
  anonymous: () => ({ space: OPEN_SPACE, name: 'default' }),
  pending: () => null,
  authenticate: async () => null,
};
