import { InvalidRequest } from '../../errors.js';

/**
 * The formats of strings that are honoured, as regular expressions that match all of a string. Each matches only texts that have the format, in their
 * usual forms, and at most so many characters as programs need for them.
 */

const LEAP_YEAR = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const DATE = `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|${LEAP_YEAR}-02-29)`;
const CLOCK = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?';
const ZONE = '(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)';

/** RFC 3339, appendix A: no unit is left out between two others. */
function duration(): string {
  const [year, month, week, day, hour, minute, second] = [...'YMWDHMS'].map((unit) => `\\d{1,9}${unit}`);
  const date = `(?:${year}(?:${month}(?:${day})?)?|${month}(?:${day})?|${day})`;
  const time = `T(?:${hour}(?:${minute}(?:${second})?)?|${minute}(?:${second})?|${second})`;
  return `P(?:${date}(?:${time})?|${time}|${week})`;
}

const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const GROUP = '[0-9A-Fa-f]{1,4}';

/** RFC 4291: eight groups, of which the last two may be an IPv4 address, or fewer with `::` in place of zeros. */
function ipv6(): string {
  const full = `(?:${GROUP}:){6}(?:${GROUP}:${GROUP}|${IPV4})`;
  const shortened = Array.from({ length: 8 }, (_, left) => {
    const right = 7 - left;
    const ends = [
      ...(right > 0 ? [`(?:${GROUP}:){0,${right - 1}}${GROUP}`] : []),
      ...(right > 1 ? [`(?:${GROUP}:){0,${right - 2}}${IPV4}`] : []),
    ];
    const before = left === 0 ? '' : `${GROUP}(?::${GROUP}){${left - 1}}`;
    return `${before}::${ends.length > 0 ? `(?:${ends.join('|')})?` : ''}`;
  });
  return `(?:${[full, ...shortened].join('|')})`;
}

/** A domain has at most 253 characters. */
const label = (chars: number) => `[A-Za-z0-9](?:[A-Za-z0-9-]{0,${chars - 2}}[A-Za-z0-9])?`;
const HOST_NAME = `${label(63)}(?:\\.${label(36)}){0,5}`;
/** A character of RFC 5322's atoms. */
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";

/** RFC 3986. */
const ESCAPED = '%[0-9A-Fa-f]{2}';
const PATH_CHAR = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|${ESCAPED})`;
const PATH = `(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|${ESCAPED}){0,256}`;
const QUERY = `(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|${ESCAPED})`;
const AUTHORITY = `//${HOST_NAME}(?::\\d{1,5})?`;
const TAIL = `(?:\\?${QUERY}{0,256})?(?:#${QUERY}{0,64})?`;
const SCHEME = '[A-Za-z][A-Za-z0-9+.-]{0,15}:';
const URI = `${SCHEME}(?:${AUTHORITY}(?:/${PATH})?|/?${PATH_CHAR}${PATH})${TAIL}`;
/** The first part of a path without a scheme has no colon. */
const FIRST_PART = `(?:[A-Za-z0-9._~!$&'()*+,;=@-]|${ESCAPED}){1,64}`;
const REFERENCE = `(?:(?:${SCHEME})?(?:${AUTHORITY}(?:/${PATH})?|/(?:${PATH_CHAR}${PATH})?)|${SCHEME}${PATH_CHAR}${PATH}|${FIRST_PART}(?:/${PATH})?)?${TAIL}`;
const WORDS = '[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}';
const WEB = `https?://${WORDS}(?:\\.${WORDS}){0,2}\\.[A-Za-z]{2,24}(?::\\d{2,5})?(?:/${PATH}${TAIL})?`;
/** RFC 6570. */
const VARIABLE = '[A-Za-z0-9_]+(?:\\*|:[1-9]\\d{0,3})?';
const TEMPLATE = `(?:[A-Za-z0-9._~!$&()*+,;=:@/?#[\\]-]|${ESCAPED}|\\{[+#./;?&]?${VARIABLE}(?:,${VARIABLE})*\\})*`;
/** RFC 6901. */
const POINTER = '(?:/(?:[^~/]|~[01])*)*';
const BASE64 = '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?';

/** What stands before the @ has at most 64 characters. */
const EMAIL = `${ATOM}{1,32}(?:\\.${ATOM}{1,15}){0,2}@${label(22)}(?:\\.${label(22)}){1,3}`;

export const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: CLOCK + ZONE,
  'date-time': `${DATE}T${CLOCK}${ZONE}`,
  'iso-time': `${CLOCK}${ZONE}?`,
  'iso-date-time': `${DATE}T${CLOCK}${ZONE}?`,
  duration: duration(),
  uuid: '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
  ipv4: IPV4,
  ipv6: ipv6(),
  hostname: HOST_NAME,
  'idn-hostname': HOST_NAME,
  email: EMAIL,
  'idn-email': EMAIL,
  uri: URI,
  iri: URI,
  'uri-reference': REFERENCE,
  'iri-reference': REFERENCE,
  'uri-template': TEMPLATE,
  url: WEB,
  'json-pointer': POINTER,
  'relative-json-pointer': `(?:0|[1-9]\\d{0,8})(?:#|${POINTER})`,
  'json-pointer-uri-fragment': `#(?:/(?:[A-Za-z0-9_.!$&'()*+,;:=@-]|${ESCAPED}|~[01])*)*`,
  byte: BASE64,
};

/** Formats that other validators check, and that no regular expression describes. */
export const REFUSED_FORMATS: ReadonlySet<string> = new Set(['regex']);

/** @throws InvalidRequest if the text is none of those that answers have in this format: it may still have the format */
export function checkFormat(format: string, text: string): void {
  if (new RegExp(`^(?:${FORMATS[format]!})$`, 'u').test(text)) return;
  throw new InvalidRequest(
    `format: ${JSON.stringify(text.slice(0, 100))} of enum or const has not the form of '${format}' that answers have; leave out one of them`,
  );
}
