import { createHash, randomBytes } from 'node:crypto';
import { readValues } from '../src/config/config.js';
import { PlainId } from '../src/config/grants.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import type { CommandContext } from './context.js';

/** `shoal key`: makes an API key. The secret is shown once; the entry for the keys file has only its digest. */
export async function key(context: CommandContext): Promise<number> {
  const { json } = readValues('key', context);
  const id = context.args[0] ?? `key-${randomBytes(4).toString('hex')}`;
  const checked = PlainId.safeParse(id);
  if (!checked.success) throw new WrongUsage(`id: ${checked.error.issues[0]!.message}, got ${JSON.stringify(id)}`);
  const secret = `sk-${randomBytes(32).toString('base64url')}`;
  const digest = createHash('sha256').update(secret).digest('hex');
  const entry = { id, secret_sha256: digest, tenant: id, role: 'user' };
  context.io.out(json ? `${JSON.stringify({ secret, entry })}\n` : describeKey(secret, entry));
  return 0;
}

function describeKey(secret: string, entry: Readonly<Record<string, string>>): string {
  const fields = Object.entries(entry).map(([name, value]) => `${name}: ${value}`);
  return [
    `secret for the client, not stored anywhere: ${secret}`,
    '',
    'entry for the keys file:',
    '',
    `  - ${fields.join('\n    ')}`,
    '',
  ].join('\n');
}
