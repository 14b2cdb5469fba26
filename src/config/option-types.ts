import { z } from 'zod';
import { parseByteSize } from '../byte-size.js';
import { BUCKET_SUFFIXES } from '../fleet/bucket-suffixes.js';
import { SOCKET_PATH_BYTES } from '../limits.js';
import { parseDuration } from './duration.js';

/** The types of option values, with their parsers. */

/** Turns the text of an option into a value. `allowed` completes the sentence "must be ...". */
export interface OptionType<T> {
  readonly allowed: string;
  readonly check: z.ZodType<T, string>;
}

/** A type from a parser that returns null for invalid text. `fault` may say what is wrong with the text, without repeating it. */
function parsed<T>(
  allowed: string,
  parse: (text: string) => T | null,
  fault: (text: string) => string = () => '',
): OptionType<T> {
  const check = z.string().transform((text, context) => {
    const value = parse(text.trim());
    if (value !== null) return value;
    context.addIssue({ code: 'custom', message: `must be ${allowed}${fault(text.trim())}` });
    return z.NEVER;
  });
  return { allowed, check };
}

export function wholeNumber(min: number, max: number): OptionType<number> {
  return parsed(`a whole number from ${min} to ${max}`, (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : null;
  });
}

export const port = wholeNumber(0, 65_535);

export const fraction: OptionType<number> = parsed('a number from 0 to 1', (text) => {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= 0 && value <= 1 ? value : null;
});

/** A port, or null for `off`. The value is wrapped because a parser's null means invalid text. */
export const portOrOff: OptionType<{ readonly port: number | null }> = parsed(`${port.allowed}, or off`, (text) => {
  if (text === 'off') return { port: null };
  const result = port.check.safeParse(text);
  return result.success ? { port: result.data } : null;
});

/** The N of a share such as `1/256`; 0 for `off`. The value is wrapped because a parser's null means invalid text. */
export const oneIn: OptionType<{ readonly count: number }> = parsed(
  'a share such as 1/256, from 1/1 to 1/1000000, or off',
  (text) => {
    if (text.toLowerCase() === 'off') return { count: 0 };
    const count = Number(/^1\/(\d{1,7})$/.exec(text)?.[1] ?? 0);
    return count >= 1 && count <= 1_000_000 ? { count } : null;
  },
);

export function choice<const V extends string>(...values: readonly V[]): OptionType<V> {
  return parsed(`one of ${values.join(', ')}`, (text) => values.find((value) => value === text.toLowerCase()) ?? null);
}

const YES = ['on', '1', 'true', 'yes'];
const NO = ['off', '0', 'false', 'no'];

export const onOff: OptionType<boolean> = parsed('on or off (or 1, 0, true, false, yes, no)', (text) => {
  const word = text.toLowerCase();
  return YES.includes(word) ? true : NO.includes(word) ? false : null;
});

export const amount: OptionType<number> = parsed('a number, 0 or more', (text) => {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : null;
});

/** A number of events per second. */
export function rate(max: number): OptionType<number> {
  return parsed(`a number over 0, up to ${max}`, (text) => {
    const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
    return value > 0 && value <= max ? value : null;
  });
}

export function byteSize(minBytes: number, min: string): OptionType<number> {
  return parsed(`a size such as 512MiB, 1.5GB or 1073741824, at least ${min}`, (text) => {
    const bytes = parseByteSize(text);
    return bytes !== null && bytes >= minBytes ? bytes : null;
  });
}

/** Milliseconds from a text such as `20s`. */
export function duration(minMs: number, maxMs: number, range: string): OptionType<number> {
  return parsed(`a time such as 500ms, 20s, 5m or 1h, from ${range}`, (text) => {
    const ms = parseDuration(text);
    return ms !== null && ms >= minMs && ms <= maxMs ? ms : null;
  });
}

/** A name that is valid in NATS subjects, file names and metric labels. */
export const plainName: OptionType<string> = parsed('1 to 64 letters, digits, "-" or "_"', (text) =>
  /^[A-Za-z0-9_-]{1,64}$/.test(text) ? text : null,
);

const suffixes = Object.values(BUCKET_SUFFIXES);
const suffixOf = (name: string) => suffixes.find((suffix) => name.endsWith(suffix));

/** The name of a fleet, none of whose buckets on NATS can be another fleet's. */
export const fleetName: OptionType<string> = parsed(
  `${plainName.allowed}, not ending in ${suffixes.slice(0, -1).join(', ')} or ${suffixes.at(-1)}`,
  (text) => (plainName.check.safeParse(text).success && suffixOf(text) === undefined ? text : null),
  (text) => {
    const fleet = text.slice(0, -(suffixOf(text)?.length ?? text.length));
    return fleet === '' ? '' : `; its bucket on NATS would be one of the fleet ${fleet}`;
  },
);

export function text(allowed: string, minChars: number, maxChars: number): OptionType<string> {
  return parsed(allowed, (value) => (value.length >= minChars && value.length <= maxChars ? value : null));
}

export const path = text('a path', 1, 4096);

/** The path of a Unix socket. */
export const socketPath: OptionType<string> = parsed(`a path of at most ${SOCKET_PATH_BYTES} bytes`, (value) =>
  value !== '' && Buffer.byteLength(value) <= SOCKET_PATH_BYTES ? value : null,
);

/** A path, or null for `off`. The value is wrapped because a parser's null means invalid text. */
export const pathOrOff: OptionType<{ readonly path: string | null }> = parsed('a path, or off', (value) => {
  if (value.toLowerCase() === 'off') return { path: null };
  return value.length <= 4096 ? { path: value } : null;
});

export const host: OptionType<string> = parsed('a host name or an IP address', (value) =>
  /^[A-Za-z0-9._:%-]{1,255}$/.test(value) ? value : null,
);

/** A URL with one of these schemes. A bare `host[:port]` gets the first scheme. */
export function url(...schemes: readonly string[]): OptionType<string> {
  const allowed = `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
  return parsed(allowed, (value) => {
    const whole = value.includes('://') ? value : `${schemes[0]}://${value}`;
    if (!URL.canParse(whole)) return null;
    const { protocol, hostname } = new URL(whole);
    return schemes.includes(protocol.slice(0, -1)) && hostname !== '' ? whole : null;
  });
}

/** One to `max` URLs of one scheme, separated by commas. An entry without a scheme gets the first one. The value has no spaces. */
export function urls(max: number, ...schemes: readonly string[]): OptionType<string> {
  const { allowed, check } = url(...schemes);
  const entries = (text: string) => text.split(',').map((entry) => check.safeParse(entry));
  const schemeOf = (entry: string) => entry.slice(0, entry.indexOf(':'));
  const parse = (text: string) => {
    const whole = entries(text).map(({ data }) => data);
    const complete = whole.filter((entry) => entry !== undefined);
    const alike = new Set(complete.map(schemeOf)).size === 1;
    return complete.length === whole.length && whole.length <= max && alike ? complete.join(',') : null;
  };
  const fault = (text: string) => {
    const checked = entries(text);
    const wrong = checked.findIndex(({ success }) => !success);
    if (wrong !== -1) return checked.length === 1 ? '' : `; entry ${wrong + 1} of ${checked.length} is invalid`;
    return checked.length > max ? `; there are ${checked.length}` : '; the entries have different schemes';
  };
  return parsed(`${allowed}, or up to ${max} of them separated by commas, all with the same scheme`, parse, fault);
}

/** One to `max` entries that match a pattern, separated by commas or spaces. */
export function listOf(max: number, entries: string, pattern: RegExp): OptionType<readonly string[]> {
  const split = (text: string) => text.split(/[\s,]+/).filter((entry) => entry !== '');
  const parse = (text: string) => {
    const found = split(text);
    const valid = found.length > 0 && found.length <= max && found.every((entry) => pattern.test(entry));
    return valid ? Object.freeze(found) : null;
  };
  const fault = (text: string) => {
    const wrong = split(text).findIndex((entry) => !pattern.test(entry));
    return wrong === -1 ? '' : `; entry ${wrong + 1} is invalid`;
  };
  return parsed(`1 to ${max} ${entries}, separated by commas`, parse, fault);
}

export function list(allowed: string, max: number): OptionType<readonly string[]> {
  return parsed(allowed, (value) => {
    const items = value
      .split(/[\s,]+/)
      .map((item) => item.trim())
      .filter((item) => item !== '');
    return items.length > 0 && items.length <= max ? Object.freeze(items) : null;
  });
}
