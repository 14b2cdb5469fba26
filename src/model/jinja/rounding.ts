/** Digits that `toFixed` writes at most. */
const MOST_DIGITS = 100;

/** Python's `round`: the nearest number with so many decimal places, and of two that are equally near the even one. */
export function rounded(number: number, places: number): number {
  if (!Number.isFinite(number)) return number;
  if (places < 0) return roundedToTens(number, 10 ** -places);
  if (places >= MOST_DIGITS || Math.abs(number) >= Number.MAX_SAFE_INTEGER) return number;
  const text = Math.abs(number).toFixed(places);
  const all = Math.abs(number).toFixed(MOST_DIGITS);
  const cut = all.length - MOST_DIGITS + places;
  const isTie = /^50*$/.test(all.slice(cut));
  // `toFixed` takes the larger one of two.
  const isOdd = /[13579]\.?$/.test(all.slice(0, cut));
  const nearest = isTie && !isOdd ? Number(all.slice(0, cut)) : Number(text);
  return number < 0 || Object.is(number, -0) ? -nearest : nearest;
}

function roundedToTens(number: number, unit: number): number {
  const rest = number % unit;
  const base = number - rest;
  const isOdd = Math.abs(base / unit) % 2 === 1;
  const isUp = 2 * Math.abs(rest) > unit || (2 * Math.abs(rest) === unit && isOdd);
  return isUp ? base + Math.sign(number) * unit : base;
}
