import type { OptionSpec } from './option.js';

/** How the value of an option may be shown: never a secret, and a URL without its credentials. */

export const CENSORED = '[redacted]';

/** Null for a secret. A URL has no user, password and query. */
export function shownValue({ secret }: Pick<OptionSpec, 'secret'>, text: string): string | null {
  return secret ? null : withoutCredentials(text).replace(/(:\/\/[^\s?#]*\?)[^\s#]+/g, `$1${CENSORED}`);
}

/** A text whose URLs have no user and password. */
export function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/@\s"]*@/g, `//${CENSORED}@`);
}

/** What stands in the places of passwords and query values in the URLs of a text. */
export function credentialsIn(urls: string): string[] {
  const users = [...urls.matchAll(/\/\/(?:[^:/@\s]*:)?([^/@\s]*)@/g)].map((match) => match[1]!);
  const queries = [...urls.matchAll(/:\/\/[^\s?#]*\?([^\s#]+)/g)].flatMap((match) => match[1]!.split('&'));
  return [...users, ...queries.map((pair) => pair.slice(pair.indexOf('=') + 1))];
}
