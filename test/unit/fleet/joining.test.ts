import { describe, expect, test } from 'vitest';
import type { KeyValue } from '../../../src/bus/key-value.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Refused, Unavailable, Unsupported } from '../../../src/errors.js';
import { readCharter } from '../../../src/fleet/charter.js';
import { joinFleet } from '../../../src/fleet/joining.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { createLog } from '../../../src/log.js';
import { passTime } from '../../support/pass-time.js';

const [OURS, THEIRS] = ['a'.repeat(64), 'b'.repeat(64)];

/** A fleet's transport in memory, and processes that join over it. */
function world() {
  const broker = new MemoryBroker();
  const clock = new SimulatedClock();
  const buckets = new Map<string, KeyValue>();
  const checks: (() => Promise<void>)[] = [];
  const openKeyValue = async (bucket: string) => {
    const opened = buckets.get(bucket) ?? new MemoryKeyValue();
    buckets.set(bucket, opened);
    return opened;
  };
  /** Resolves with the lines of the log. */
  const join = async (fingerprint: string, open: (bucket: string) => Promise<KeyValue> = openKeyValue, pauseMs = 0) => {
    if (pauseMs > 0) await passTime(clock, new Promise<void>((resolve) => clock.after(pauseMs, resolve)));
    const lines: string[] = [];
    const log = createLog({ level: 'info', write: (line) => lines.push(line) });
    const transport = { bus: broker.connect('joining'), openKeyValue: open };
    const joining = joinFleet({
      transport,
      clock,
      log,
      config: { namespace: 'fleet', replicas: 2 },
      fingerprint,
      model: 'm',
      onOutlawed: (why) => expect.unreachable(why),
    });
    await passTime(clock, joining);
    const charter = await joining;
    checks.push(() => charter.check());
    return lines.join('');
  };
  return { broker, clock, buckets, join, checks };
}

describe('joining a fleet over a transport in memory', () => {
  test('the first process founds the fleet in the bucket of its namespace, the next one joins', async () => {
    const { buckets, join } = world();
    expect(await join(OURS)).toContain('founded the fleet');
    expect(await join(OURS)).toContain('joined the fleet');
    expect([...buckets.keys()]).toEqual(['shoal-fleet']);
  });

  test('a process with another model is refused while a member of the fleet is heard', async () => {
    const { broker, join } = world();
    await join(OURS);
    const member = broker.connect('member');
    const { hello, announce } = fleetSubjects('fleet');
    member.subscribe(hello, () => member.publish(announce, new Uint8Array()));
    await expect(join(THEIRS)).rejects.toThrow(Refused);
  });

  test('the charter of a silent fleet is replaced', async () => {
    const { clock, join } = world();
    await join(OURS);
    expect(await join(THEIRS)).toContain('replaced the charter');
    expect(clock.nextAtMs()).toBeNull();
  });

  test('a process joins without a charter, with a warning, if the transport has no buckets', async () => {
    const { clock, join } = world();
    const none = async () => {
      throw new Unsupported('no buckets here');
    };
    expect(await join(OURS, none)).toMatch(/"level":"warn".*no buckets here/);
    // Long enough for members to answer.
    expect(clock.now()).toBeLessThan(5_000);
  });

  test('a process waits for a bucket that has no leader now, and joins without a charter if that takes too long', async () => {
    const { clock, join, buckets } = world();
    const later = async (bucket: string) => {
      if (clock.now() < 5_000) throw new Unavailable('no leader');
      buckets.set(bucket, new MemoryKeyValue());
      return buckets.get(bucket)!;
    };
    expect(await join(OURS, later)).toContain('founded the fleet');
    const never = () => Promise.reject(new Unavailable('no leader'));
    expect(await join(OURS, never)).toMatch(/"level":"warn".*no leader/);
  });

  test('a process that joined without a bucket founds the charter once there is one', async () => {
    const { buckets, clock, join, checks } = world();
    const refuse = async () => {
      throw new Unavailable('the disk is full');
    };
    let open: (bucket: string) => Promise<KeyValue> = refuse;
    await join(OURS, (bucket) => open(bucket));
    await expect(checks[0]!()).rejects.toThrow('the disk is full');
    const bucket = new MemoryKeyValue();
    open = async () => bucket;
    await passTime(clock, checks[0]!());
    expect((await readCharter(bucket))?.fingerprint).toBe(OURS);
    bucket.clear();
    await checks[0]!();
    expect(await readCharter(bucket)).not.toBeNull();
    expect(buckets.size).toBe(0);
  });

  test('a process that finds no bucket is refused by a member with another charter', async () => {
    const { join } = world();
    const none = async () => {
      throw new Unavailable('the bucket is full');
    };
    await join(THEIRS);
    await expect(join(OURS, none)).rejects.toThrow(/does not fit its charter: fingerprint is bbb/);
    expect(await join(THEIRS, none)).toContain('the bucket is full');
  });

  test('several that do not fit, one right after the other, are all refused', async () => {
    const { join } = world();
    await join(THEIRS);
    const none = () => Promise.reject(new Unsupported('no buckets here'));
    for (const pauseMs of [0, 100, 500, 900, 1_000, 1_200]) {
      const both = [join(OURS, none), join(OURS, none, pauseMs)];
      for (const each of await Promise.allSettled(both)) expect(each.status).toBe('rejected');
    }
  });

  test('a process that fits is not refused because others that start with it do not', async () => {
    const { join } = world();
    await join(THEIRS);
    const none = () => Promise.reject(new Unsupported('no buckets here'));
    const [wrong, right, late] = await Promise.allSettled([
      join(OURS, none),
      join(THEIRS, none),
      join(THEIRS, none, 300),
    ]);
    expect([wrong?.status, right?.status, late?.status]).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  });

  test('members that never had a charter keep the fleet from one that does not fit, when there is a bucket at last', async () => {
    const { broker, join, buckets, checks, clock } = world();
    const none = () => Promise.reject(new Unavailable('no bucket yet'));
    let isThere = false;
    const later = async () => {
      if (!isThere) return none();
      const opened = buckets.get('shoal-fleet') ?? new MemoryKeyValue();
      buckets.set('shoal-fleet', opened);
      return opened;
    };
    await join(THEIRS, later);
    await join(THEIRS, later);
    const member = broker.connect('member');
    const { hello, announce } = fleetSubjects('fleet');
    member.subscribe(hello, () => member.publish(announce, new Uint8Array()));
    isThere = true;
    const wrong = join(OURS, later);
    const members = new Promise<void>((resolve) => clock.after(5_000, resolve)).then(async () => {
      for (const check of checks) await check();
    });
    const [refused] = await Promise.allSettled([wrong, members]);
    expect(refused.status).toBe('rejected');
    expect((await readCharter(buckets.get('shoal-fleet')!))?.fingerprint).toBe(THEIRS);
  });

  test('processes that joined without a bucket refuse those that do not fit them', async () => {
    const { join } = world();
    const none = async () => {
      throw new Unsupported('no buckets here');
    };
    await join(THEIRS, none);
    await join(THEIRS, none);
    await expect(join(OURS, none)).rejects.toThrow(Refused);
  });

  test('a process that joined without a bucket goes on if it turns out not to fit the charter', async () => {
    const { buckets: theirs, join: joinTheirs } = world();
    await joinTheirs(THEIRS);
    const { broker, clock, join, checks } = world();
    const member = broker.connect('member');
    const { hello, announce } = fleetSubjects('fleet');
    member.subscribe(hello, () => member.publish(announce, new Uint8Array()));
    let isThere = false;
    await join(OURS, async (name) => {
      if (!isThere) throw new Unavailable('silence');
      return theirs.get(name)!;
    });
    isThere = true;
    await passTime(clock, checks[0]!());
    await checks[0]!();
    expect((await readCharter([...theirs.values()][0]!))?.fingerprint).toBe(THEIRS);
  });
});
