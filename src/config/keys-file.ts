import { createHash } from 'node:crypto';
import { z } from 'zod';
import { faultWords } from '../fault-words.js';
import { API_KEY_CHARS, API_KEYS } from '../limits.js';
import { GRANT_FIELDS, type Grants, grantsOf, LIMIT_FIELDS, PlainId } from './grants.js';
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

const ENTRY_FIELDS = {
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
};

const Entry = z
  .strictObject(ENTRY_FIELDS)
  .refine((entry) => (entry.secret === undefined) !== (entry.secret_sha256 === undefined), {
    message: 'must have exactly one of secret and secret_sha256',
  });

const KeysFile = z.strictObject({ keys: z.array(Entry).max(API_KEYS, `must be at most ${API_KEYS} keys`) });

/** @throws WrongUsage that names the line and the entry, and never repeats text of the file: a slip may have put a secret anywhere */
export function parseKeysFile(text: string, path: string): KeyEntry[] {
  const document = readYaml(text);
  if (!document.ok) {
    const { line, column, message } = document;
    throw new WrongUsage(`${path}:${line}: is not valid YAML or JSON at column ${column}: ${message}`);
  }
  const fault = (at: DocumentPath, message: string) => {
    const where = at.length === 0 ? '' : ` ${placeOf(at)}:`;
    return new WrongUsage(`${path}:${document.lineOf(at)}:${where} ${message}`);
  };
  const result = KeysFile.safeParse(document.value);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const at = issue.path as DocumentPath;
    if (issue.code !== 'unrecognized_keys') throw fault(at, faultWords(issue));
    const { line, column } = document.fieldAt([...at, issue.keys[0]!]);
    const where = at.length === 0 ? '' : ` ${placeOf(at)}:`;
    throw new WrongUsage(
      `${path}:${line}:${where} has an unknown field at column ${column}; the fields are ${fieldsAt(at).join(', ')}`,
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
  const secrets = new Map<string, number>();
  for (const [index, { id, secretSha256 }] of entries.entries()) {
    if (ids.has(id)) throw fault(['keys', index, 'id'], 'must be unique; an earlier key has the same id');
    const other = secrets.get(secretSha256);
    if (other !== undefined)
      throw fault(['keys', index], `must have a secret of its own; ${placeOf(['keys', other])} has the same`);
    ids.add(id);
    secrets.set(secretSha256, index);
  }
}

/** `keys[2].role` */
function placeOf(at: DocumentPath): string {
  return at.map((part, depth) => (typeof part === 'number' ? `[${part}]` : `${depth > 0 ? '.' : ''}${part}`)).join('');
}

/** The known fields of the document, of an entry or of its limits. */
function fieldsAt(at: DocumentPath): readonly string[] {
  if (at.length === 0) return ['keys'];
  return at.at(-1) === 'limits' ? LIMIT_FIELDS : Object.keys(ENTRY_FIELDS);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
