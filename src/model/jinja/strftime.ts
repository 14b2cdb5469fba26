/** `strftime` of Python, in the locale C, in which servers run it. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];
const DAY_MS = 86_400_000;
const SHORT = 3;

type Directive = (date: Date) => string;

const two = (number: number) => String(number).padStart(2, '0');
const hour12 = (date: Date) => date.getHours() % 12 || 12;

const DIRECTIVES: Readonly<Record<string, Directive>> = {
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
  m: (date) => two(date.getMonth() + 1),
  d: (date) => two(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2),
  B: (date) => MONTHS[date.getMonth()]!,
  b: (date) => MONTHS[date.getMonth()]!.slice(0, SHORT),
  A: (date) => DAYS[date.getDay()]!,
  a: (date) => DAYS[date.getDay()]!.slice(0, SHORT),
  w: (date) => String(date.getDay()),
  u: (date) => String(date.getDay() || 7),
  j: (date) => String(dayOfYear(date)).padStart(3, '0'),
  H: (date) => two(date.getHours()),
  I: (date) => two(hour12(date)),
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  f: (date) => `${String(date.getMilliseconds()).padStart(3, '0')}000`,
  // A date without a time zone, as in transformers.
  z: () => '',
  Z: () => '',
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
};
/** Directives that abbreviate others. */
const COMPOSED: Readonly<Record<string, string>> = {
  ...{ c: '%a %b %e %H:%M:%S %Y', x: '%m/%d/%y', X: '%H:%M:%S', D: '%m/%d/%y', F: '%Y-%m-%d' },
  ...{ T: '%H:%M:%S', R: '%H:%M', r: '%I:%M:%S %p', h: '%b' },
};

/** The local time in this format. `%-d` is `%d` without zeros before it. Directives that are not known stay as they are. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, letter: string) => {
    if (Object.hasOwn(COMPOSED, letter)) return strftime(date, COMPOSED[letter]!);
    if (!Object.hasOwn(DIRECTIVES, letter)) return whole;
    const text = DIRECTIVES[letter]!(date);
    return dash === '' ? text : text.replace(/^[0 ]+(?=.)/, '');
  });
}

function dayOfYear(date: Date): number {
  const midnight = (of: Date) => Date.UTC(of.getFullYear(), of.getMonth(), of.getDate());
  return (midnight(date) - Date.UTC(date.getFullYear(), 0, 0)) / DAY_MS;
}
