import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { Overloaded, Unavailable } from '../../../src/errors.js';
import { findModel, type ModelMember } from '../../../src/hub/fleet/fleet-models.js';
import { ModelHost } from '../../../src/hub/fleet/model-host.js';
import { type OwnModel, ownModel } from '../../../src/hub/fleet/shared-model.js';
import type { HubId } from '../../../src/hub/hub-id.js';
import type { PulledModel } from '../../../src/hub/pull.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { objectName } from '../../../src/objects/object-name.js';
import { type ObjectBody, type ObjectPeer, WHOLE } from '../../../src/objects/object-node.js';
import { ObjectLinks } from '../../../src/peer/objects/object-links.js';
import { ObjectSession } from '../../../src/peer/objects/object-session.js';
import { type PeerAddresses, PeerServer } from '../../../src/peer/server/peer-server.js';
import { SystemRandom } from '../../../src/random.js';
import { scratchFolder } from '../model/folders.js';
import { BLOCK_BYTES } from '../peer/support/host.js';
import { ALICE, BOB, SECRET } from '../peer/support/pair.js';
import { hubRig, ID, tinyModel } from './rig.js';

/** A model of the hub that a member has, and that another process takes from it over the protocol between peers. */

const MAIN: HubId = { repository: ID, revision: 'main' };
const WEIGHTS = 'onnx/model.onnx_data';
/** No other file has as many. */
const WEIGHTS_BYTES = 100_000;
const NEVER = new AbortController().signal;

const rig = hubRig();
let pulled: PulledModel;
let own: OwnModel;
let server: PeerServer;
let addresses: PeerAddresses;
let links: ObjectLinks;

beforeEach(async () => {
  rig.hub.add(ID, await tinyModel());
  pulled = await rig.pull();
  own = (await ownModel(pulled.dir, await openModelFolder(pulled.dir)))!;
  const host = new ModelHost(own);
  server = new PeerServer({
    ...{ identity: BOB, secret: SECRET, blockBytes: BLOCK_BYTES, host: null, roleOf: () => 'stranger' as const },
    onModels: (connection) => new ObjectSession(connection, { host, isMember: () => false, objectBytes: 0 }),
  });
  addresses = await server.listen({ tcpHost: '127.0.0.1' });
  links = linksOf(SECRET);
});

afterEach(async () => {
  links.close();
  await server.close();
});

function linksOf(secret: string, purpose: 'models' | 'objects' = 'models'): ObjectLinks {
  return new ObjectLinks({
    ...{ identity: ALICE, hostId: 'elsewhere', secret, purpose },
    ...{ clock: new SystemClock(), random: new SystemRandom() },
    workerOf: () => ({ incarnation: BOB.incarnation, address: { hostId: 'here', ...addresses } }),
  });
}

const bob = (files: Pick<ObjectPeer, 'read'> = links.peer('bob')!): ModelMember => ({ id: 'bob', files });

/** Pulls into an empty cache, as on another host. */
async function pullElsewhere(members: readonly ModelMember[], id = MAIN) {
  rig.cacheDir = await scratchFolder();
  rig.events.length = 0;
  return rig.pull(undefined, { inFleet: await findModel(members, id, NEVER) });
}

const events = () => rig.events.map(({ type }) => type);

describe('a model that a member has', () => {
  it('is taken from it, file by file, and the hub is not asked', async () => {
    rig.hub.requests.length = 0;
    const taken = await pullElsewhere([bob()]);
    expect(rig.hub.requests).toEqual([]);
    expect(taken.commit).toBe(pulled.commit);
    expect(taken.dir).not.toBe(pulled.dir);
    for (const { path } of own.list.files) {
      const [theirs, ours] = [await readFile(join(taken.dir, path)), await readFile(join(pulled.dir, path))];
      expect(theirs.equals(ours)).toBe(true);
    }
    await openModelFolder(taken.dir);
    expect(events()[0]).toBe('from-fleet');
    expect(own.list.files.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['config.json', 'tokenizer.json', 'onnx/model.onnx', WEIGHTS]),
    );
  });

  it('goes on where a connection was cut, at another member', async () => {
    const asked: number[] = [];
    const read: ObjectPeer['read'] = async (name, options, signal) => {
      const outcome = await links.peer('bob')!.read(name, options, signal);
      if (outcome.type !== 'found' || outcome.info.bytes < WEIGHTS_BYTES) return outcome;
      asked.push(options.from);
      return asked.length > 1 ? outcome : { ...outcome, body: cutAfter(outcome.body, 1000) };
    };
    await pullElsewhere([bob({ read }), bob({ read })]);
    expect(asked).toEqual([0, 1000]);
    expect(events().filter((type) => type === 'retrying')).toHaveLength(1);
    expect(events()).not.toContain('without-fleet');
  });

  it('is not taken if a byte of it was changed: the hub gives that file', async () => {
    const blob = own.pathOf(own.list.files.find(({ path }) => path === WEIGHTS)!.digest)!;
    const bytes = await readFile(blob);
    bytes[100]! ^= 1;
    await writeFile(blob, bytes);
    rig.hub.requests.length = 0;
    const taken = await pullElsewhere([bob()]);
    expect(events()).toContain('again');
    expect(events()).toContain('without-fleet');
    expect(rig.hub.requests.length).toBeGreaterThan(0);
    expect((await readFile(join(taken.dir, WEIGHTS))).equals((await tinyModel())[WEIGHTS]!)).toBe(true);
  });

  it('is not taken for another revision or another model, nor if the member has shortened it', async () => {
    expect(await findModel([bob()], { ...MAIN, revision: 'v2' }, NEVER)).toBeNull();
    expect(await findModel([bob()], { ...MAIN, repository: 'shoal/other' }, NEVER)).toBeNull();
    expect(await findModel([bob()], { ...MAIN, revision: pulled.commit }, NEVER)).not.toBeNull();
    const blob = own.pathOf(own.list.files.find(({ path }) => path === WEIGHTS)!.digest)!;
    await writeFile(blob, 'short');
    const found = (await findModel([bob()], MAIN, NEVER))!;
    const weights = found.files.find(({ path }) => path === WEIGHTS)!;
    await expect(found.bytes(MAIN, found.commit, weights, 0, NEVER)).rejects.toThrow(/from worker bob: its file has 5/);
  });

  it('gives nothing but the files of the list', async () => {
    const peer = links.peer('bob')!;
    const read = (space: string, key: string) => peer.read(objectName(space, Buffer.from(key)), WHOLE, NEVER);
    for (const key of ['../../../../etc/passwd', 'config.json', '0'.repeat(64), '/etc/passwd'])
      expect(await read('model', key)).toEqual({ type: 'absent' });
    expect(await read('', own.list.files[0]!.digest)).toEqual({ type: 'absent' });
    await expect(peer.use(NEVER)).rejects.toThrow(/can be read only/);
    await expect(peer.flush('model', NEVER)).rejects.toThrow(/can be read only/);
    await expect(peer.versions([objectName('model', Buffer.from('files'))], NEVER)).rejects.toThrow(/not a member/);
  });

  it('is given to nobody without the secret, and by nobody who shares none', async () => {
    const stranger = linksOf('another secret');
    expect(await findModel([bob(stranger.peer('bob')!)], MAIN, NEVER)).toBeNull();
    await expect(stranger.peer('bob')!.read(objectName('model', Buffer.from('files')), WHOLE, NEVER)).rejects.toThrow(
      /another cluster secret/,
    );
    stranger.close();
    const objects = linksOf(SECRET, 'objects');
    await expect(objects.peer('bob')!.read(objectName('model', Buffer.from('files')), WHOLE, NEVER)).rejects.toThrow(
      /no objects/,
    );
    objects.close();
  });

  it('is read by eight peers at a time', async () => {
    const host = new ModelHost(own);
    const name = objectName('model', Buffer.from(own.list.files[0]!.digest));
    const opened = [];
    for (let i = 0; i < 8; i++) opened.push(await host.read(name, WHOLE));
    await expect(host.read(name, WHOLE)).rejects.toThrow(Overloaded);
    for (const outcome of opened) if (outcome.type === 'found') outcome.body.close();
    const again = await host.read(name, WHOLE);
    expect(again.type).toBe('found');
    if (again.type === 'found') again.body.close();
  });
});

/** A body whose connection is lost after so many bytes. */
function cutAfter(body: ObjectBody, bytes: number): ObjectBody {
  let over = false;
  const next = async () => {
    if (over) throw new Unavailable('the connection was lost');
    over = true;
    const piece = (await body.next())!;
    return { bytes: piece.bytes.subarray(0, bytes), release: () => piece.release() };
  };
  return { next, close: () => body.close() };
}
