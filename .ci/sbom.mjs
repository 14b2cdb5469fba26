// Prints a bill of materials (CycloneDX) of the packages that users get.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nameOf, shippedPackages } from './shipped.mjs';

const shipped = new Set(shippedPackages().map(([path, { version }]) => `${nameOf(path)}@${version}`));
const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
const cwd = fileURLToPath(new URL('../', import.meta.url));
const bill = JSON.parse(execFileSync('npm', args, { cwd, maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] }));
const own = bill.metadata.component['bom-ref'];
const fullName = ({ group, name, version }) => `${group === undefined ? '' : `${group}/`}${name}@${version}`;
const components = bill.components.filter((component) => shipped.has(fullName(component)));
// Built into what is shipped, a package is no longer for development only.
for (const component of components)
  component.properties = component.properties?.filter(({ name }) => name !== 'cdx:npm:package:development');
const known = new Set([own, ...components.map((component) => component['bom-ref'])]);
const dependencies = bill.dependencies
  .filter(({ ref }) => known.has(ref))
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((each) => known.has(each)) }));
console.log(JSON.stringify({ ...bill, components, dependencies }, null, 2));
