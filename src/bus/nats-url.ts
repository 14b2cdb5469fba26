import { Refused } from '../errors.js';

/**
 * Parses the URL of a NATS server; `nats://` may be missing.
 * @throws Refused if it is not one
 */
export function parseNatsUrl(text: string): URL {
  try {
    const url = new URL(text.includes('://') ? text : `nats://${text}`);
    if (url.hostname !== '' && (url.protocol === 'nats:' || url.protocol === 'tls:')) return url;
  } catch {
    // Fall through: the text may contain a password, so the error shows neither the text nor the parser's error.
  }
  throw new Refused('the NATS URL is invalid; it must have the form nats://host:port or tls://host:port');
}
