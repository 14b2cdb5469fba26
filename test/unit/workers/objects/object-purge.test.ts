import { afterEach, beforeEach, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import { ownerDigest, saltDigest } from '../../../../src/core/salt.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { RESPONSE_SALT } from '../../../../src/objects/object.js';
import { databaseSpace, keySpace, objectName, RESPONSES_DATABASE } from '../../../../src/objects/object-name.js';
import { ObjectValue } from '../../../../src/objects/object-value.js';
import { PacedLog } from '../../../../src/paced-log.js';
import { LEAST_DISK_BYTES, ObjectDisk } from '../../../../workers/objects/object-disk.js';
import { WorkerObjects } from '../../../../workers/objects/worker-objects.js';
import { ALONE } from '../../resp/support/resp-station.js';
import { MemoryFiles } from '../support/block-files.js';

/** The objects that a worker drops for a purge. */

const ACME = keySpace('tenant/acme:all');
const ACME_KEY = keySpace('tenant/acme:key/0f');
const BETA = keySpace('tenant/acme-beta:all');
const responses = (space: string) => databaseSpace(space, RESPONSES_DATABASE);
const owner = { by: 'owner' as const, digest: ownerDigest('tenant/acme'), before: null };
const salt = (text: string) => ({ by: 'salt' as const, digest: saltDigest(text), before: null });
const signal = new AbortController().signal;

let files: MemoryFiles;
let objects: WorkerObjects;
let disk: ObjectDisk;
beforeEach(async () => {
  const clock = new SimulatedClock();
  files = new MemoryFiles();
  disk = new ObjectDisk({ files, budgetBytes: 64 * LEAST_DISK_BYTES, clock, log: new PacedLog(SILENT_LOG, clock) });
  objects = new WorkerObjects({
    self: { id: 'w', incarnation: '1' },
    budgetBytes: 4 * LEAST_DISK_BYTES,
    ring: ALONE,
    clock,
    wallMs: () => clock.now(),
    peerOf: () => null,
    events: { gone: () => {}, moved: () => {}, full: () => {} },
    disk,
  });
  objects.start();
  while (!objects.settled) await clock.advance(10);
});
afterEach(() => objects.stop());

async function write(space: string, key: string, fields: Record<string, string> = {}, bytes = 8): Promise<void> {
  const value = ObjectValue.of(Buffer.alloc(bytes, 1));
  const rest = { contentType: null, expiry: { kind: 'never' }, condition: { kind: 'always' }, token: key } as const;
  await objects.home.write(objectName(space, Buffer.from(key)), value, { fields, ...rest }, signal);
  value.release();
}
const left = () => [...objects.store.held()].map(({ name }) => `${name.space} ${name.key}`).sort();

it('A purge by tenant drops the values and the stored answers of all its spaces, and of no other', async () => {
  await disk.open();
  for (const space of [ACME, databaseSpace(ACME, 3), ACME_KEY, BETA, 'open']) await write(space, 'a');
  for (const space of [ACME, ACME_KEY, BETA]) await write(responses(space), 'resp_1', { [RESPONSE_SALT]: 'x' });
  expect(await objects.purge(owner)).toMatchObject({ values: 3, responses: 2, complete: true });
  expect(left()).toEqual([`${BETA} a`, `${responses(BETA)} resp_1`, 'open a'].sort());
  expect(await objects.purge(owner)).toMatchObject({ values: 0, responses: 0 });
});

it('A purge by salt drops the stored answers to prompts of that salt alone', async () => {
  await disk.open();
  const fields = (text: string) => ({ [RESPONSE_SALT]: saltDigest(text) });
  await write(responses(ACME), 'resp_1', fields('tenant/acme:all:x'));
  await write(responses(ACME), 'resp_2', fields('tenant/acme:all:y'));
  // A client's own field of this name says nothing.
  await write(ACME, 'value', fields('tenant/acme:all:x'));
  expect(await objects.purge(salt('tenant/acme:all:x'))).toMatchObject({ values: 0, responses: 1 });
  expect(left()).toEqual([`${ACME} value`, `${responses(ACME)} resp_2`].sort());
});

it('A purge drops nothing that was written since, and takes no older copy from another home later', async () => {
  await disk.open();
  await write(ACME, 'old');
  const { info } = [...objects.store.held()][0]!;
  const { before } = await objects.purge(owner);
  await write(ACME, 'new');
  expect(await objects.purge({ ...owner, before })).toMatchObject({ values: 0 });
  expect(left()).toEqual([`${ACME} new`]);
  const value = ObjectValue.of(Buffer.alloc(8));
  const about = { contentType: null, fields: {}, token: '', expiresAtMs: null, bytes: 8, digest: value.digest };
  const copy = {
    type: 'value',
    name: objectName(ACME, Buffer.from('old')),
    info: { ...about, version: info.version },
    value,
  } as const;
  expect(await objects.home.take(copy)).toMatchObject({ type: 'newer' });
  value.release();
  expect(left()).toEqual([`${ACME} new`]);
});

it('A purge is not complete while a file of an object, or one of an earlier process, is on the disk', async () => {
  expect(await objects.purge(owner)).toMatchObject({ complete: false });
  await disk.open();
  for (let i = 0; i < 8; i++) await write(ACME, `k${i}`, {}, LEAST_DISK_BYTES);
  await disk.idle();
  const [file] = await files.list();
  files.stuck.add(file!.key);
  expect(await objects.purge(owner)).toMatchObject({ values: 8, complete: false });
  files.stuck.clear();
  expect(await objects.purge(owner)).toMatchObject({ values: 0, complete: true });
  expect(await files.list()).toEqual([]);
});
