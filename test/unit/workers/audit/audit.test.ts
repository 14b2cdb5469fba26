import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockKey } from '../../../../src/core/block.js';
import { blockBytes } from '../../../../src/core/kv-layout.js';
import type { Maker } from '../../../../src/core/maker.js';
import { digestOf } from '../../../../src/digest.js';
import type { ModelFolder } from '../../../../src/model/folder.js';
import { PeerClient } from '../../../../src/peer/client/peer-client.js';
import { AuditMessage } from '../../../../src/protocol/audit.js';
import { type GenerateRequest, unpackTokens } from '../../../../src/protocol/generate.js';
import { encode } from '../../../../src/wire/msgpack.js';
import type { EvidenceSearch } from '../../../../workers/audit/evidence-search.js';
import type { BlockStore } from '../../../../workers/cache/block-store.js';
import type { WorkerParts } from '../../../../workers/compose.js';
import { FINGERPRINT } from '../../../support/announcement.js';
import { ask, keysOf, noise, tinyModel } from '../../engine/support/rig.js';
import { MemorySink } from '../../peer/support/sink.js';
import { BLOCK, Fleet, SECRET, type Station, subjects } from '../support/stations.js';

/** Three workers over a real graph, of which one lies. */

const BLOCKS = 4;

let folder: ModelFolder;
let remove: () => Promise<void>;
beforeAll(async () => {
  ({ folder, remove } = await tinyModel({}));
});
afterAll(() => remove());

const partsOf = ({ worker }: Station) => (worker as unknown as { parts: WorkerParts }).parts;
const makerOf = ({ address: { node, incarnation } }: Station): Maker => ({ id: node, incarnation });

/** From now on the worker keeps other bytes than it computes for the chosen blocks, under digests that match them. */
function lie(station: Station, aboutIndex: (index: number) => boolean): void {
  const { store } = partsOf(station);
  const reserve = store.reserve.bind(store);
  store.reserve = (meta: Parameters<BlockStore['reserve']>[0]) => {
    const reserved = reserve(meta);
    if (reserved === null || !aboutIndex(meta.index)) return reserved;
    const commit = () => {
      const bytes = station.device.view(reserved.memory)!;
      bytes.copyWithin(0, bytes.byteLength / 2);
      reserved.commit();
    };
    return { ...reserved, commit };
  };
}

/** Whether each of these workers saw evidence, whenever it looked for some. */
function watchTestimonies(...stations: Station[]): Promise<boolean>[] {
  const seen: Promise<boolean>[] = [];
  for (const station of stations) {
    const { options } = partsOf(station).quarantine as unknown as {
      readonly options: { readonly search: EvidenceSearch };
    };
    const { search } = options;
    const sees = search.sees.bind(search);
    search.sees = (...asked) => {
      const answer = sees(...asked);
      seen.push(answer);
      return answer;
    };
  }
  return seen;
}

describe('three workers that audit each hit', () => {
  let fleet: Fleet;
  let a: Station;
  let b: Station;
  let liar: Station;

  beforeEach(async () => {
    fleet = await Fleet.open(folder);
    [a, b, liar] = [await add('a'), await add('b'), await add('liar')];
    await fleet.joined();
    await eventually(() => [a, b, liar].every((one) => partsOf(one).roster.ring.members.length === 3));
  });
  afterEach(() => fleet.close());

  const add = (id: string) => fleet.add(id, { replicas: 3, auditOneIn: 1 });
  const request = (seed = 1): GenerateRequest => ask(noise(BLOCKS * BLOCK + 7, 256, seed));
  const from = (station: Station, asked: GenerateRequest): GenerateRequest => ({
    ...asked,
    sources: [{ worker: station.address.node, blocks: BLOCKS }],
  });
  const standings = () =>
    [a, b].map((one) => partsOf(one).quarantine.accused.map(({ maker, standing }) => `${maker.id} ${standing}`));
  const stored = (station: Station, key: BlockKey) => partsOf(station).store.sealed(key);

  /** A bus in memory goes round without a turn of the event loop, in which connections come about. */
  async function eventually(condition: () => boolean): Promise<void> {
    while (!condition()) await settled();
  }

  async function audited(...stations: Station[]): Promise<void> {
    for (const station of stations) await partsOf(station).auditor.idle();
  }

  /** Everybody has the blocks of the prompt. */
  const copied = (asked: GenerateRequest) =>
    eventually(() => keysOf(asked).every((key) => [a, b, liar].every((one) => stored(one, key) !== null)));

  it('find what a liar made, drop it everywhere, and are rid of the liar', async () => {
    const truth = await fleet.ask(a, ask(noise(BLOCKS * BLOCK + 7, 256, 1), { stopping: { maxTokens: 8 } }));
    await fleet.order(a, 'reset');
    await fleet.order(b, 'reset');
    await fleet.order(liar, 'reset');
    lie(liar, () => true);
    const asked = ask(noise(BLOCKS * BLOCK + 7, 256, 1), { stopping: { maxTokens: 8 } });
    await fleet.ask(liar, asked);
    await copied(asked);
    expect(stored(a, keysOf(asked)[0]!)!.maker).toEqual(makerOf(liar));
    expect((await fleet.ask(a, asked)).cached.remote).toBe(BLOCKS * BLOCK);
    await eventually(() => standings().every((accused) => accused.includes('liar quarantined')));
    expect(standings()).toEqual([['liar quarantined'], ['liar quarantined']]);
    for (const one of [a, b]) {
      expect(keysOf(asked).filter((key) => stored(one, key)?.maker.id === 'liar')).toEqual([]);
      expect(partsOf(one).roster.ring.members).toEqual(['a', 'b']);
      expect((await fleet.ask(one, asked)).ids).toEqual(truth.ids);
    }
    await audited(a, b);
    expect(
      partsOf(a)
        .roster.members()
        .find(({ id }) => id === 'liar')!.state,
    ).toBe('dead');
  });

  it('blame the maker of the first wrong block, and nobody for right work on top of it', async () => {
    lie(liar, (index) => index === 0);
    const short = ask(noise(BLOCK + 7, 256, 1));
    await fleet.ask(liar, short);
    const [first] = keysOf(short);
    await eventually(() => [a, b].every((one) => stored(one, first!) !== null));
    // This worker computes the rest honestly, on top of a wrong block, and is audited only when both have it.
    const longer = request();
    await fleet.ask(a, from(liar, longer));
    await fleet.ask(b, longer);
    await eventually(() => standings().every((accused) => accused.includes('liar quarantined')));
    await audited(a, b);
    expect(standings()).toEqual([['liar quarantined'], ['liar quarantined']]);
  });

  it('trust each other whatever one of them says', async () => {
    const asked = request();
    await fleet.ask(a, asked);
    await copied(asked);
    const key = keysOf(asked).at(-1)!;
    const { digest } = stored(b, key)!;
    const tokens = unpackTokens(asked.tokens).slice(0, BLOCKS * BLOCK);
    const said = { from: makerOf(liar), maker: makerOf(a) };
    const found = { type: 'found', ...said, key, digest, tokens: new Uint8Array(tokens.buffer), salt: '' };
    for (const message of [found, { type: 'vote', ...said, pardons: 0 }, { type: 'vote', ...said, pardons: 7 }]) {
      liar.bus.publish(subjects.audit, encode(AuditMessage.parse(message)));
    }
    // They drop the block, look for evidence, and find none.
    await eventually(() => stored(b, key) === null);
    await audited(a, b);
    expect(standings()).toEqual([[], []]);
    expect(partsOf(b).roster.ring.members).toEqual(['a', 'b', 'liar']);
  });

  it('find nothing wrong among themselves', async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const asked = request(seed);
      await fleet.ask(a, asked);
      await copied(asked);
      await fleet.ask(b, asked);
      await fleet.ask(liar, asked);
    }
    await audited(a, b, liar);
    expect(standings()).toEqual([[], []]);
    expect(keysOf(request(1)).every((key) => stored(b, key) !== null)).toBe(true);
  });

  it('give nothing to a stranger who knows the secret, and take nothing from it', async () => {
    const asked = request();
    await fleet.ask(a, asked);
    await copied(asked);
    const keys = keysOf(asked);
    const block = stored(a, keys[0]!)!;
    const { address } = partsOf(b).roster.alive('a')!;
    // Under a name of its own, and under that of a member whose incarnation it does not know.
    for (const id of ['stranger', 'b']) {
      const identity = { id, incarnation: 'guessed', fingerprint: FINGERPRINT };
      const { hostId } = address;
      const client = new PeerClient({ identity, hostId, secret: SECRET, blockBytes: blockBytes(a.graph.layout) });
      const target = { ...makerOf(a), generation: 0, address };
      const wrong = { ...block, key: 'f'.repeat(64), maker: makerOf(b) };
      const never = new AbortController().signal;
      await expect(client.fetch(target, keys, new MemorySink(), never)).rejects.toThrow('is not a member');
      await expect(client.push(target, [wrong], async () => null, never)).rejects.toThrow('is not a member');
      client.close();
    }
    expect(stored(a, 'f'.repeat(64))).toBeNull();
  });

  it.each(['liar', 'a'])(
    'do not blame one for what somebody else pushes under its name, who is %s by its own word',
    async (as) => {
      const asked = request();
      await fleet.ask(a, asked);
      await copied(asked);
      const key = keysOf(asked)[0]!;
      const { address } = partsOf(b).roster.alive('a')!;
      // Whoever knows the secret and an incarnation may say so.
      const identity = { id: as, incarnation: '0001', fingerprint: FINGERPRINT };
      const blockSize = blockBytes(a.graph.layout);
      const client = new PeerClient({ identity, hostId: address.hostId, secret: SECRET, blockBytes: blockSize });
      const target = (one: Station) => ({ ...makerOf(one), ...partsOf(b).roster.alive(one.address.node)! });
      const never = new AbortController().signal;
      const right = new MemorySink();
      await client.fetch(target(a), [key], right, never);
      const pin = (bytes: Uint8Array) => async () => ({ block, bytes, shared: null, unpin: () => {} });
      const block = stored(a, key)!;
      const bytes = right.places.get(key)!;
      for (const one of [a, b, liar]) await fleet.order(one, 'reset');

      const wrong = bytes.slice().copyWithin(0, bytes.byteLength / 2);
      const poison = { ...block, digest: digestOf(wrong) };
      for (const one of [a, b, liar]) await client.push(target(one), [poison], pin(wrong), never);
      await eventually(() => stored(b, key) !== null);
      expect(stored(a, key)).toBeNull();
      // It takes back what it has really made.
      await client.push(target(a), [block], pin(bytes), never);
      await eventually(() => stored(a, key) !== null);
      client.close();

      const testimonies = watchTestimonies(b, liar);
      expect((await fleet.ask(b, asked)).cached.remote).toBe(BLOCK);
      await eventually(() => testimonies.length === 2);
      expect(await Promise.all(testimonies)).toEqual([false, false]);
      expect(stored(b, key)?.digest).not.toBe(poison.digest);
      expect(standings()).toEqual([[], []]);
      expect(partsOf(b).roster.ring.members).toEqual(['a', 'b', 'liar']);
    },
  );

  it('take a pardoned one back', async () => {
    lie(liar, () => true);
    const asked = request();
    await fleet.ask(liar, asked);
    await copied(asked);
    await fleet.ask(b, asked);
    await eventually(() => standings().every((accused) => accused.includes('liar quarantined')));
    const pardon = {
      type: 'pardoned',
      from: { id: 'coordinator', incarnation: '1' },
      maker: makerOf(liar),
      pardons: 1,
    };
    // A worker cannot pardon.
    liar.bus.publish(subjects.audit, encode(AuditMessage.parse({ ...pardon, from: makerOf(liar) })));
    await audited(a, b);
    expect(standings()).toEqual([['liar quarantined'], ['liar quarantined']]);
    fleet.bus.publish(subjects.audit, encode(AuditMessage.parse(pardon)));
    await eventually(() => [a, b].every((one) => partsOf(one).roster.ring.members.includes('liar')));
    expect(standings()).toEqual([[], []]);
  });
});
