import { isIP } from 'node:net';

/** The host names of HTTP requests. */

const HOST = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i;

/** The name in a `host` header: lower case, without port, brackets and final dot; null if the header is malformed. */
export function hostName(host: string): string | null {
  const match = HOST.exec(host);
  return match === null ? null : normalizedName(match[1] ?? match[2]!);
}

/** A host name in lower case, without brackets and final dot. */
export function normalizedName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

/** Whether a normalized name always leads to this machine itself. */
export function isLoopbackName(name: string): boolean {
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === '::1' ||
    (isIP(name) === 4 && name.startsWith('127.'))
  );
}
