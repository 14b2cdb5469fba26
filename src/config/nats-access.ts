import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** The address of the NATS server, and the credentials for it. */
export interface NatsAccess {
  /** Without credentials, so that it can be logged. */
  readonly url: string;
  readonly user: string | null;
  readonly password: string | null;
}

/**
 * Separates the credentials from the URL. Credentials from options win over credentials in the URL.
 * @throws WrongUsage if there is a password without a user, or the password file cannot be read
 */
export function natsAccess(
  rawUrl: string,
  given: Pick<Values, 'natsUser' | 'natsPassword' | 'natsPasswordFile'>,
): NatsAccess {
  const url = new URL(rawUrl);
  const access = {
    user: given.natsUser ?? (url.username === '' ? null : decodeURIComponent(url.username)),
    password: givenPassword(given) ?? (url.password === '' ? null : decodeURIComponent(url.password)),
  };
  if (access.password !== null && access.user === null) {
    throw new WrongUsage('--nats-user (SHOAL_NATS_USER): must be set if there is a NATS password, got nothing');
  }
  return Object.freeze({ url: `${url.protocol}//${url.host}`, ...access });
}

function givenPassword(given: Pick<Values, 'natsPassword' | 'natsPasswordFile'>): string | null {
  if (given.natsPassword !== null || given.natsPasswordFile === null) return given.natsPassword;
  return readSecretFile('--nats-password-file (SHOAL_NATS_PASSWORD_FILE)', given.natsPasswordFile);
}
