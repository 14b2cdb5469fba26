import { OPTIONS } from '../src/config/options.js';
import type { EnvironmentVariables } from '../src/config/read-options.js';
import { CENSORED, credentialsIn, shownValue, withoutCredentials } from '../src/config/shown-value.js';
import { readPlainFile } from './plain-file.js';

/** The options that a bundle may show, and the secrets that it must not contain. */

/** Secrets that are shorter are not searched for: they would match by chance. */
const LEAST_SECRET_CHARS = 8;
const SECRET_FILE_BYTES = 2 ** 20;
/** Holds the headers of requests to a collector, as `name=value` separated by commas. */
const HEADERS = /^OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS$/;

/** The options that are set, by their variables. A secret shows only that it is set. */
export function shownOptions(environment: EnvironmentVariables): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const spec of Object.values(OPTIONS)) {
    const text = environment[spec.variable];
    if (text === undefined || text.trim() === '') continue;
    shown[spec.variable] = shownValue(spec, text) ?? '[set]';
  }
  return shown;
}

/** The values of all secrets that the environment has: of options, in files that options name, in URLs, and in headers for a collector. The longest first. */
export function secretsOf(environment: EnvironmentVariables): readonly string[] {
  const ofOptions = Object.values(OPTIONS).flatMap(({ variable, secret, flag }) => {
    const text = environment[variable]?.trim() ?? '';
    if (text === '') return [];
    if (secret) return [text, ...text.split(/[\s,]+/)];
    return /(?:secret|password|keys?)-file$/.test(flag ?? '') ? secretsIn(text) : [];
  });
  const others = Object.entries(environment).flatMap(([name, text = '']) =>
    HEADERS.test(name) ? text.split(',').map((pair) => pair.slice(pair.indexOf('=') + 1)) : credentialsIn(text),
  );
  const long = [...ofOptions, ...others].filter(({ length }) => length >= LEAST_SECRET_CHARS);
  return [...new Set(long)].toSorted((a, b) => b.length - a.length);
}

function secretsIn(path: string): string[] {
  try {
    const text = readPlainFile(path, SECRET_FILE_BYTES).trim();
    return [text, ...text.split(/[\s,{}"']+/)];
  } catch {
    return [];
  }
}

/** A JSON Web Token: three parts in base64url, of which the first two begin with `{"`. */
const JWT = /\beyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]*/g;
/** The name of a header with credentials, and its value up to a quotation mark or the end of the line. */
const HEADER =
  /\b((?:proxy-)?authorization|x-api-key|api-key|(?:set-)?cookie)(\\*["']?\s*[:=]\s*\[?\\*["']?)[^"'\\\r\n]+/gi;
/** A parameter of a query whose name says that its value is a credential. */
const PARAMETER =
  /([?&][\w.-]*(?:token|key|secret|sig|signature|password|passwd|auth|credential)[\w.-]*=)[^&\s"'#\\]+/gi;

/** A text without these secrets, without credentials in URLs and headers, and without JSON Web Tokens. */
export function censored(text: string, secrets: readonly string[]): string {
  const bare = secrets.reduce((rest, secret) => rest.replaceAll(secret, CENSORED), text);
  return withoutCredentials(bare)
    .replace(HEADER, `$1$2${CENSORED}`)
    .replace(PARAMETER, `$1${CENSORED}`)
    .replace(/\b(bearer\s+)[\w.~+/=-]{8,}/gi, `$1${CENSORED}`)
    .replace(JWT, CENSORED);
}
