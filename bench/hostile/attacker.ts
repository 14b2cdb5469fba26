import { setPriority } from 'node:os';
import { ATTACKS, type Target } from './attack.js';

/** One attack, in a separate process that yields to its target: `attacker.js NAME TARGET`, begun by a line on stdin. */

const [, , name, target] = process.argv;
const attack = ATTACKS.find((candidate) => candidate.name === name);
if (attack === undefined || target === undefined) throw new Error(`no attack ${name}`);
setPriority(15);
const begin = attack.prepare(JSON.parse(target) as Target);
process.stdout.write('ready\n');
process.stdin.once('data', begin);
// The bench is gone.
process.stdin.once('end', () => process.exit(0));
