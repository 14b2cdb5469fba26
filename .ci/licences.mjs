// Prints the licence of every package that users get, and fails if one is not on the list of those that are allowed.
import { nameOf, shippedPackages } from './shipped.mjs';

const ALLOWED = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
  'Python-2.0',
]);

/** Packages whose licence the lock file lacks, as their own package.json has it. */
const KNOWN = [[/^@msgpackr-extract\//, 'MIT']];

const rows = shippedPackages().map(([path, { version, license }]) => {
  const name = nameOf(path);
  return { name, version, license: license ?? KNOWN.find(([pattern]) => pattern.test(name))?.[1] ?? 'none' };
});
rows.sort((a, b) => (a.name < b.name ? -1 : 1));

/** Whether one of the licences of a choice, or all of a conjunction, are allowed. */
function isAllowed(expression) {
  const plain = expression.replace(/[()]/g, '');
  return plain.split(' OR ').some((choice) => choice.split(' AND ').every((licence) => ALLOWED.has(licence.trim())));
}

for (const { name, version, license } of rows) console.log(`${name}@${version}\t${license}`);
const refused = rows.filter(({ license }) => !isAllowed(license));
for (const { name, license } of refused)
  console.error(`${name}: the licence ${license} is not allowed; see .ci/licences.mjs`);
process.exitCode = refused.length === 0 ? 0 : 1;
