import { createHash } from 'node:crypto';
import { z } from 'zod';
import { API_KEY_CHARS, API_KEYS } from '../limits.js';
import { GRANT_FIELDS, type Grants, grantsOf, PlainId } from './grants.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';
import { type DocumentPath, readYaml } from './yaml.js';

/** The file of keys with their tenants, roles and limits. docs/TENANTS.md describes it. */

/** Longest secret of a key, in characters. */
const LONGEST_KEY_CHARS = 1_024;

export interface KeyEntry extends Grants {
  readonly id: string;
  /** SHA-256 of the secret: 64 hex digits. */
  readonly secretSha256: string;
}

const Entry = z
  .strictObject({
    ...GRANT_FIELDS,
    id: PlainId,
    secret: z
      .string('must be a string')
      .min(API_KEY_CHARS, `must have at least ${API_KEY_CHARS} characters; shoal key makes one`)
      .max(LONGEST_KEY_CHARS, `must have at most ${LONGEST_KEY_CHARS} characters`)
      .regex(/^\S+$/, 'must not contain white space')
      .optional(),
    secret_sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits, the SHA-256 of the secret')
      .optional(),
  })
  .refine((entry) => (entry.secret === undefined) !== (entry.secret_sha256 === undefined), {
    message: 'must have exactly one of secret and secret_sha256',
  });

const KeysFile = z.strictObject({ keys: z.array(Entry).max(API_KEYS, `must be at most ${API_KEYS} keys`) });

/** @throws WrongUsage that names the line and the entry, and never repeats a secret */
export function parseKeysFile(text: string, path: string): KeyEntry[] {
  const document = readYaml(text);
  if (!document.ok) throw new WrongUsage(`${path}:${document.line}: is not valid YAML or JSON: ${document.message}`);
  const fault = (at: DocumentPath, message: string) => {
    const [, index] = at;
    const where = at.length === 0 ? '' : ` ${placeOf(at, document.value, index)}:`;
    return new WrongUsage(`${path}:${document.lineOf(at)}:${where} ${message}`);
  };
  const result = KeysFile.safeParse(document.value);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
    throw fault(
      [...(issue.path as DocumentPath), ...unknown],
      unknown.length > 0 ? 'is not a known field' : issue.message,
    );
  }
  const entries = result.data.keys.map(({ id, secret, secret_sha256, ...grants }): KeyEntry => {
    const secretSha256 = secret === undefined ? secret_sha256!.toLowerCase() : sha256(secret);
    return { id, secretSha256, ...grantsOf(grants) };
  });
  checkUnique(entries, fault);
  return entries;
}

/** Reads and checks a keys file. @throws WrongUsage */
export function readKeysFile(path: string): KeyEntry[] {
  return parseKeysFile(readSecretFile('--keys-file (SHOAL_KEYS_FILE)', path), path);
}

function checkUnique(entries: readonly KeyEntry[], fault: (at: DocumentPath, message: string) => WrongUsage): void {
  const ids = new Set<string>();
  const secrets = new Map<string, string>();
  for (const [index, { id, secretSha256 }] of entries.entries()) {
    if (ids.has(id)) throw fault(['keys', index, 'id'], 'must be unique; an earlier key has the same id');
    const other = secrets.get(secretSha256);
    if (other !== undefined)
      throw fault(['keys', index], `must have a secret of its own; the key '${other}' has the same`);
    ids.add(id);
    secrets.set(secretSha256, id);
  }
}

/** `keys[2] (acme-web).role` */
function placeOf(at: DocumentPath, value: unknown, index: string | number | undefined): string {
  const [head, , ...rest] = at;
  if (typeof index !== 'number') return at.join('.');
  const { keys } = value as { keys: readonly unknown[] };
  const entry = keys[index];
  const id = typeof entry === 'object' && entry !== null && 'id' in entry ? entry.id : null;
  const name = PlainId.safeParse(id).success ? ` (${String(id)})` : '';
  return [`${head}[${index}]${name}`, ...rest].join('.');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
