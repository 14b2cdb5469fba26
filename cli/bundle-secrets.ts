import { readFileSync } from 'node:fs';
import type { OptionTable } from '../src/config/option.js';
import type { EnvironmentVariables } from '../src/config/read-options.js';

/** The options that a bundle may show, and the secrets that it must not contain. */

/** Secrets that are shorter are not searched for: they would match by chance. */
const LEAST_SECRET_CHARS = 8;
const CENSORED = '[redacted]';

/** The options that are set, by their variables. A secret shows only that it is set. */
export function shownOptions(table: OptionTable, environment: EnvironmentVariables): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const { variable, secret } of Object.values(table)) {
    const text = environment[variable];
    if (text === undefined || text.trim() === '') continue;
    shown[variable] = secret ? '[set]' : withoutCredentials(text);
  }
  return shown;
}

/** The values of all secrets that the options name: in variables, and in files. The longest first. */
export function secretsOf(table: OptionTable, environment: EnvironmentVariables): readonly string[] {
  const secrets = Object.values(table).flatMap(({ variable, secret, flag }) => {
    const text = environment[variable]?.trim() ?? '';
    if (text === '') return [];
    if (secret) return [text, ...text.split(/[\s,]+/), ...passwordsIn(text)];
    return /(?:secret|password|keys?)-file$/.test(flag ?? '') ? secretsIn(text) : [];
  });
  const long = secrets.filter(({ length }) => length >= LEAST_SECRET_CHARS);
  return [...new Set(long)].toSorted((a, b) => b.length - a.length);
}

function secretsIn(path: string): string[] {
  try {
    const text = readFileSync(path, 'utf8').trim();
    return [text, ...text.split(/\s+/)];
  } catch {
    return [];
  }
}

function passwordsIn(urls: string): string[] {
  return [...urls.matchAll(/\/\/(?:[^:/@\s]*:)?([^/@\s]*)@/g)].map((match) => match[1]!);
}

/** A JSON Web Token: three parts in base64url, of which the first two begin with `{"`. */
const JWT = /\beyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]*/g;

/** A text without these secrets, without credentials in URLs and headers, and without JSON Web Tokens. */
export function censored(text: string, secrets: readonly string[]): string {
  const bare = secrets.reduce((rest, secret) => rest.replaceAll(secret, CENSORED), text);
  return withoutCredentials(bare)
    .replace(/\b(bearer\s+)[\w.~+/=-]{8,}/gi, `$1${CENSORED}`)
    .replace(JWT, CENSORED);
}

function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/@\s"]*@/g, `//${CENSORED}@`);
}
