import { beforeEach, describe, expect, it } from 'vitest';
import { type BucketStore, useStore } from '../../../src/bus/nats-store.js';
import { faultOfCode } from '../../../src/bus/nats-store-fault.js';
import { type StoreRequest, StoreState } from '../../../src/bus/store-state.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Unavailable, Unsupported } from '../../../src/errors.js';

describe('an error code of JetStream', () => {
  it.each([
    // The text of a full disk comes from the system; `message to large` is that of servers before 2.12.
    [10077, 'no space left on device', 'writes', /^the disk of S is full/],
    [10077, 'write /data/1.blk: input/output error', 'writes', /cannot write to its disk \(write/],
    [10077, 'maximum bytes exceeded', 'writes', /^the bucket B is full/],
    [10077, 'maximum messages exceeded', 'writes', /a coordinator, if one runs, erases/],
    [10077, 'message to large', 'writes', /^the bucket B has other settings/],
    [10077, 'message too large', 'writes', /nats kv del B/],
    [10054, 'message size exceeds maximum allowed', 'writes', /other settings/],
    [10065, 'subjects overlap with an existing stream', 'writes', /another stream stores the values/],
    [10109, 'invalid operation on sealed stream', 'writes', /other settings/],
    [10077, 'store is closed', null, null],
    [10049, 'mkdir /data/KV_a: no space left on device', 'writes', /^the disk of S is full/],
    [10049, 'error creating store for stream: mkdir /data', 'writes', /free space/],
    [10049, 'replicas count invalid', null, null],
    [10023, 'insufficient resources', 'writes', /too little storage/],
    [10047, 'insufficient storage resources available', 'writes', /max_file_store/],
    [10002, 'resource limits exceeded for account', 'writes', /the account/],
    [10004, 'incomplete results', 'all', /no leader/],
    [10007, 'JetStream cluster not assigned to this server', 'all', /no leader/],
    [10008, 'JetStream system temporarily unavailable', 'all', /more than half of the servers/],
    [10009, 'JetStream cluster can not handle request', 'all', /no leader/],
    [10118, 'stream is offline', 'all', /no leader/],
    [10194, 'stream is offline: unsupported', 'all', /no leader/],
    // Of requests, and of those who make them, rather than of the store.
    [10058, 'stream name already in use with a different configuration', null, null],
    [10059, 'stream not found', null, null],
    [10071, 'wrong last sequence: 7', null, null],
    [10164, 'wrong last sequence', null, null],
    [10167, 'too many requests', null, null],
  ])('%i (%s) is a fault of: %s', (code, reason, of, why) => {
    const fault = faultOfCode(code, reason, 'S', 'B');
    expect(fault?.of ?? null).toBe(of);
    if (why !== null) expect(fault!.why).toMatch(why);
  });
});

describe('a request to the store', () => {
  let clock: SimulatedClock;
  let state: StoreState;
  let store: BucketStore;
  let pings: () => Promise<void>;
  let connected: boolean;

  beforeEach(() => {
    clock = new SimulatedClock();
    state = new StoreState();
    pings = async () => {};
    connected = true;
    const connection = { info: { server_id: 'a' }, getServer: () => 'S', flush: () => pings() };
    store = { bucket: 'b', connection, connected: () => connected, state, clock };
    state.answered('b', 'write');
  });

  const named = (name: string) => Object.assign(new Error(name), { name });
  /** Asks, and gets no answer for two seconds. */
  const ask = async (request: StoreRequest, lookEveryMs = 100) => {
    const asked = useStore(store, request, async () => {
      await new Promise<void>((resolve) => clock.after(2_000, resolve));
      throw named('TimeoutError');
    });
    let over = false;
    const failed = expect(asked)
      .rejects.toThrow(Unavailable)
      .finally(() => {
        over = true;
      });
    while (!over) await clock.advance(lookEveryMs);
    await failed;
  };

  it('is not blamed on the store if the server answers no pings either', async () => {
    pings = () => new Promise(() => {});
    await ask('read');
    expect(state.fault).toBeNull();
  });

  it('fails at once while NATS is not connected, and says so if it was lost meanwhile', async () => {
    const lost = useStore(store, 'read', async () => {
      connected = false;
      throw named('TimeoutError');
    });
    await expect(lost).rejects.toThrow('cannot use the NATS bucket b: NATS is not connected');
    let asked = false;
    const next = useStore(store, 'read', async () => {
      asked = true;
    });
    await expect(next).rejects.toThrow(Unavailable);
    expect(asked).toBe(false);
    expect(state.fault).toBeNull();
    connected = true;
    expect(await useStore(store, 'read', async () => 1)).toBe(1);
  });

  it('that only writes gets no answer to leaves reads alone', async () => {
    await ask('write');
    expect(state.fault).toMatchObject({ of: 'writes', why: expect.stringContaining('does not confirm writes') });
    await expect(useStore(store, 'write', async () => 1)).rejects.toThrow('does not confirm writes');
    expect(await useStore(store, 'read', async () => 1)).toBe(1);
    // The proof that it takes writes is a write.
    expect(state.fault).not.toBeNull();
    await clock.advance(1_000);
    await useStore(store, 'write', async () => 1);
    expect(state.fault).toBeNull();
  });

  it('is tried again after a pause that grows with each failure', async () => {
    const refused = (pauseMs: number) =>
      expect(useStore(store, 'write', async () => pauseMs)).rejects.toThrow(Unavailable);
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const failed = clock.now();
      state.failed('b', { of: 'writes', holdsUp: true, why: 'silent' }, failed, 'a');
      await clock.advance(pauseMs - 1);
      await refused(pauseMs);
      await clock.advance(1);
    }
    expect(await useStore(store, 'write', async () => 1)).toBe(1);
    state.failed('b', { of: 'writes', holdsUp: true, why: 'silent' }, clock.now(), 'a');
    await clock.advance(1_000);
    expect(await useStore(store, 'write', async () => 1)).toBe(1);
  });

  it('is tried again after the first pause, however many requests the same silence has cost', async () => {
    await Promise.all([ask('write'), ask('write'), ask('write')]);
    expect(state.fault).not.toBeNull();
    await clock.advance(1_000);
    expect(await useStore(store, 'write', async () => 1)).toBe(1);
  });

  it('that reads and gets no answer has all requests wait', async () => {
    await ask('read');
    await ask('write');
    expect(state.fault).toMatchObject({ of: 'all' });
    await expect(useStore(store, 'read', async () => 1)).rejects.toThrow('its store');
  });

  it('is not blamed on the store if this process stood still meanwhile', async () => {
    let frozenMs = 0;
    const seen = clock.now.bind(clock);
    clock.now = () => seen() + frozenMs;
    const asked = useStore(store, 'read', async () => {
      frozenMs = 10_000;
      throw named('TimeoutError');
    });
    await expect(asked).rejects.toThrow(Unavailable);
    expect(state.fault).toBeNull();
  });

  it('tells a server that has turned JetStream off from one that never had it', async () => {
    const off = async () => {
      throw named('JetStreamNotEnabled');
    };
    await expect(useStore(store, 'read', off)).rejects.not.toThrow(Unsupported);
    expect(state.fault).toMatchObject({ of: 'all', holdsUp: false });
    expect(state.fault!.why).toMatch(
      /^nats-server at S runs without JetStream: it was started without it, or .*jetstream \{ store_dir/,
    );
    const connection = { ...store.connection, info: { server_id: 'a', jetstream: true } };
    await expect(useStore({ ...store, connection }, 'read', off)).rejects.not.toThrow(Unsupported);
    expect(state.fault!.why).toMatch(/^nats-server at S has turned JetStream off, its disk may be full; free space/);
    const fresh = { ...store, state: new StoreState() };
    await expect(useStore(fresh, 'read', off)).rejects.toThrow(Unsupported);
    expect(fresh.state.fault).toBeNull();
  });
});
