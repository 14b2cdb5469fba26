import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** The server of processes that are given none. */
export const DEFAULT_NATS_URL = 'nats://127.0.0.1:4222';

/** The addresses of the NATS servers, and the credentials for them. */
export interface NatsAccess {
  /** One or more URLs, separated by commas. Without credentials, so that it can be logged. */
  readonly url: string;
  readonly user: string | null;
  readonly password: string | null;
}

/**
 * Separates the credentials from the URLs. Credentials from options win over credentials in the URLs.
 * @param rawUrls one or more URLs, separated by commas
 * @throws WrongUsage if there is a password without a user, if two URLs have different credentials, or if the password file cannot be read
 */
export function natsAccess(
  rawUrls: string,
  given: Pick<Values, 'natsUser' | 'natsPassword' | 'natsPasswordFile'>,
): NatsAccess {
  const urls = rawUrls.split(',').map((url) => new URL(url));
  const inUrl = credentialsOf(urls);
  const access = { user: given.natsUser ?? inUrl.user, password: givenPassword(given) ?? inUrl.password };
  if (access.password !== null && access.user === null) {
    throw new WrongUsage('--nats-user (SHOAL_NATS_USER): must be set if there is a NATS password, got nothing');
  }
  return Object.freeze({ url: urls.map(({ protocol, host }) => `${protocol}//${host}`).join(','), ...access });
}

/** The credentials in the URLs; some of the URLs may have none. */
function credentialsOf(urls: readonly URL[]): Pick<NatsAccess, 'user' | 'password'> {
  const found = urls.filter(({ username, password }) => username !== '' || password !== '');
  const [first] = found;
  if (found.some(({ username, password }) => username !== first?.username || password !== first.password)) {
    throw new WrongUsage('--nats (SHOAL_NATS): must have the same credentials in all URLs, got different ones');
  }
  return { user: decoded(first?.username), password: decoded(first?.password) };
}

function decoded(part = ''): string | null {
  return part === '' ? null : decodeURIComponent(part);
}

function givenPassword(given: Pick<Values, 'natsPassword' | 'natsPasswordFile'>): string | null {
  if (given.natsPassword !== null || given.natsPasswordFile === null) return given.natsPassword;
  return readSecretFile('--nats-password-file (SHOAL_NATS_PASSWORD_FILE)', given.natsPasswordFile);
}
