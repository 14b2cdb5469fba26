import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** How to reach and enter the NATS server. */
export interface NatsAccess {
  /** Without credentials, so that it may be shown. */
  readonly url: string;
  readonly user: string | null;
  readonly password: string | null;
}

/**
 * Takes credentials out of the URL. Those of the options of their own win.
 * @throws WrongUsage if a password has no user, or its file cannot be read
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
    throw new WrongUsage('SHOAL_NATS_PASSWORD is set without a user: give --nats-user (SHOAL_NATS_USER) too.');
  }
  return Object.freeze({ url: `${url.protocol}//${url.host}`, ...access });
}

function givenPassword(given: Pick<Values, 'natsPassword' | 'natsPasswordFile'>): string | null {
  if (given.natsPassword !== null || given.natsPasswordFile === null) return given.natsPassword;
  return readSecretFile('--nats-password-file (SHOAL_NATS_PASSWORD_FILE)', given.natsPasswordFile);
}
