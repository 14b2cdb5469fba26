import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** The cluster secret, from the variable or from the file; null if neither is given. */
export function clusterSecret(values: Pick<Values, 'secret' | 'secretFile'>): string | null {
  if (values.secret !== null || values.secretFile === null) return values.secret;
  return secretInFile('--secret-file (SHOAL_SECRET_FILE)', values.secretFile);
}

/** A secret of the length that shoal demands, in a file. `name`: the option that gave the path. @throws WrongUsage */
export function secretInFile(name: string, path: string): string {
  const secret = readSecretFile(name, path);
  if (secret.length >= 16 && secret.length <= 1024) return secret;
  throw new WrongUsage(`${name}: the file must contain 16 to 1024 characters, got ${secret.length} in ${path}`);
}

/**
 * The cluster secret of a role that joins a fleet.
 * @throws WrongUsage if there is none
 */
export function requiredSecret(values: Pick<Values, 'secret' | 'secretFile'>): string {
  const secret = clusterSecret(values);
  if (secret !== null) return secret;
  throw new WrongUsage(
    'SHOAL_SECRET: must be 16 to 1024 characters, the same in the whole fleet, got nothing; set it, or --secret-file',
  );
}
