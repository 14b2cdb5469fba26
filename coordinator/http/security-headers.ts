/** The headers of every answer. The API has no pages: nothing that it sends may be run, framed, or read as something else. */

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};
/** A year without plain HTTP. */
const HSTS = { 'strict-transport-security': 'max-age=31536000' };

/** @param tls whether the coordinator itself speaks TLS */
export function securityHeaders(tls: boolean): Readonly<Record<string, string>> {
  return tls ? { ...HEADERS, ...HSTS } : HEADERS;
}
