import type { Clock } from '../../src/clock.js';
import type { CoordinatorConfig } from '../../src/config/coordinator-config.js';
import type { Startable } from '../../src/lifecycle.js';
import type { Log } from '../../src/log.js';
import { operatorKey } from '../../src/operator-key.js';
import { Access } from './access.js';
import { KeyRing } from './key-ring.js';
import { KeySetSource } from './key-set-source.js';
import { KeysFileSource } from './keys-file-source.js';
import { TokenAccess } from './token-access.js';

/** Makes the access to the HTTP API that a configuration describes. */

export interface OpenedAccess {
  readonly access: Access;
  /** Watch files and keys of the identity provider. */
  readonly parts: readonly Startable[];
  /** Reads the keys file now, if it has changed. Resolves with the reason why its keys stay as they were; null if they do not. */
  readonly reload: () => Promise<string | null>;
}

interface AccessWorld {
  readonly clock: Clock;
  readonly log: Log;
  /** The time of day. */
  readonly wallMs: () => number;
}

type AccessConfig = Pick<CoordinatorConfig, 'apiKeys' | 'metricsKeys' | 'keysFile' | 'jwt' | 'secret'>;

/** @throws WrongUsage if the keys file has become wrong since the configuration was read */
export function openAccess(config: AccessConfig, world: AccessWorld): OpenedAccess {
  const { apiKeys, metricsKeys, keysFile, jwt, secret } = config;
  if (apiKeys.length === 0 && keysFile === null && jwt === null)
    return { access: new Access(null), parts: [], reload: async () => null };
  const file = keysFile === null ? null : new KeysFileSource(keysFile, world);
  // The holder of the only key needs no protection from others.
  const role = apiKeys.length === 1 && file === null && jwt === null ? 'operator' : 'user';
  const fixed = [
    KeyRing.ofSecrets(apiKeys, role),
    KeyRing.ofSecrets(metricsKeys, 'metrics'),
    KeyRing.ofSecrets([operatorKey(secret)], 'operator'),
  ];
  const rings = () => (file === null ? fixed : [file.ring, ...fixed]);
  const keySet = jwt?.keys.kind === 'jwks' ? new KeySetSource({ source: jwt.keys.source, ...world }) : null;
  const tokens = jwt === null ? null : new TokenAccess(jwt, keySet, world.wallMs);
  const access = new Access({ rings, tokens });
  return { access, parts: [file, keySet].filter((part) => part !== null), reload: async () => file?.look() ?? null };
}
