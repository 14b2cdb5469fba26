import { Child } from '../../../../../../cli/process/child.js';

/** A parent that starts one child and then waits to be killed. */
const child = new Child({
  name: 'child',
  script: process.argv[2] ?? '',
  args: ['worker'],
  environment: Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ''])),
  onLine: () => {},
});
await child.ready;
process.stdout.write('ready\n');
setInterval(() => {}, 1_000);
