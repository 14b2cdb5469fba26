import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveRuntimeView } from '../../../coordinator/runtime/runtime-view.js';
import { SystemClock } from '../../../src/clock.js';
import { Lifecycle } from '../../../src/lifecycle.js';
import { MetricsRegistry } from '../../../src/metrics/registry.js';
import { RuntimeMetrics } from '../../../src/metrics/runtime-metrics.js';
import type { CallReport } from '../../../src/runtime/host/host-observer.js';
import type { LogLine } from '../../../src/runtime/messages.js';
import { NO_SPAN, type Span, type Tracer } from '../../../src/trace/span.js';
import { testServer } from '../coordinator/support/test-server.js';
import { Counter, range, Talker } from './code.js';
import { RuntimeWorld, until } from './world.js';

let world: RuntimeWorld;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, method).mockImplementation(() => undefined);
});

afterEach(async () => {
  await world.close();
  vi.restoreAllMocks();
});

const reported = { waitedMs: 0, tookMs: 1 };

describe('the coordinator', () => {
  it('shows what runs, though it is no member', async () => {
    await world.node('a');
    const { fleet, member } = await world.driver();
    const { bus, actors } = await world.bystander('c1');
    const view = new LiveRuntimeView(bus, new SystemClock(), 'test', actors);
    const life = new Lifecycle();
    await view.start(life);
    const { url } = await testServer({ runtime: view });
    const get = async (path: string) => (await fetch(`${url}/v1/runtime/${path}`)).json();
    const till = await fleet.actor(Counter, { name: 'till', resources: { cpu: 1 }, near: { node: 'a' } });
    await till.add(1);
    const group = await fleet.group([{ cpu: 2 }]);
    const kept = await fleet.task(range, { returns: 'ref' })(10);
    await until(member, () => view.nodes().length === 2);
    const actor = { class: 'Counter', name: 'till', node: 'a', calls: 1, waiting: 0, owner: 'driver', restarts: 0 };
    const listed = { data: [{ id: till.$id, ...actor, max_concurrency: 1, resources: { cpu: 1 } }], silent: [] };
    expect(await get('actors')).toMatchObject(listed);
    expect(await get('actors/till')).toMatchObject(listed);
    expect(await get('actors/nobody')).toMatchObject({ error: { code: 'actor_not_found' } });
    expect(await get('nodes')).toMatchObject({
      data: expect.arrayContaining([
        expect.objectContaining({ id: 'a', kind: 'node', actors: 1, total: { cpu: 4 } }),
        expect.objectContaining({ id: 'driver', kind: 'driver' }),
      ]),
    });
    expect(await get('groups')).toMatchObject({ data: [{ node: 'a', resources: { cpu: 2 }, users: 0 }] });
    expect(await get('objects')).toMatchObject({ data: [{ node: 'a', objects: 1 }] });
    expect(await get('tasks')).toEqual({ data: [], silent: [] });
    kept.release();
    await group.remove();
    await life.stop();
    await actors.stop();
    await bus.close();
  });

  it('shows it to operators only', async () => {
    const { url } = await testServer({ apiKeys: ['a key of a user, long enough'] });
    expect((await fetch(`${url}/v1/runtime/actors`)).status).toBe(401);
  });
});

describe('the metrics of a node', () => {
  it('count calls by class, method and outcome, and tasks', async () => {
    const seen: unknown[] = [];
    const note =
      (kind: string) =>
      (code: string, ...rest: unknown[]) =>
        void seen.push([kind, code, ...rest.map((part) => (part as CallReport | null)?.outcome ?? part)]);
    const observer = { called: note('called'), ran: note('ran'), restarted: note('restarted') };
    await world.node('a', { observer });
    const { fleet } = await world.driver();
    const talker = await fleet.actor(Talker, { maxRestarts: 1 });
    await talker.say('a');
    await talker.fail().catch(() => undefined);
    await (talker as unknown as { nothing(): Promise<void> }).nothing().catch(() => undefined);
    for await (const _ of (await fleet.actor(Counter)).upTo(5)) break;
    await fleet.task(range)(3);
    await talker.$kill({ restart: true });
    await talker.say('b');
    expect(seen).toEqual([
      ['called', 'Talker', 'say', 'ok'],
      ['called', 'Talker', 'fail', 'threw'],
      ['called', 'Talker', null, 'threw'],
      ['called', 'Counter', 'upTo', 'ok'],
      ['ran', 'range', 'ok'],
      ['restarted', 'Talker'],
      ['called', 'Talker', 'say', 'ok'],
    ]);
  });

  it('count the calls that set out, by route', async () => {
    await world.node('a');
    const driver = await world.driver();
    const till = await driver.fleet.actor(Counter, { near: { node: 'a' } });
    const before = driver.paths.filter((path) => path === 'direct').length;
    await till.add(1);
    expect(driver.paths.filter((path) => path === 'direct')).toHaveLength(before + 1);
  });

  it('have few series, however many methods are called', async () => {
    const registry = new MetricsRegistry();
    const metrics = new RuntimeMetrics(registry, () => [{ class: 'Counter', actors: 2, waiting: 3 }]);
    for (let i = 0; i < 2_000; i++) metrics.called('Counter', `m${i}`, { outcome: 'ok', ...reported });
    metrics.called('Counter', null, { outcome: 'threw', ...reported });
    metrics.ran('square', { outcome: 'ok', ...reported });
    metrics.restarted('Counter');
    const text = await registry.text();
    expect(text.match(/^shoal_actor_calls_total\{/gm)).toHaveLength(514);
    expect(text).toContain('shoal_actor_calls_total{class="Counter",method="other",outcome="ok"} 1488');
    expect(text).toContain('shoal_actor_calls_total{class="Counter",method="unknown",outcome="threw"} 1');
    expect(text).toContain('shoal_actors{class="Counter"} 2');
    expect(text).toContain('shoal_actor_calls_waiting{class="Counter"} 3');
    expect(text).toContain('shoal_actor_queue_seconds_count{class="Counter"} 2001');
  });
});

describe('the traces of calls', () => {
  it('go on with that of the caller, over actors and tasks', async () => {
    const spans: { name: string; parent: string | null; own: string }[] = [];
    const begin = (name: string, parent: string | null): Span => {
      const own = `00-${'1'.padStart(32, '0')}-${String(spans.length + 1).padStart(16, '0')}-01`;
      spans.push({ name, parent, own });
      return { ...NO_SPAN, traceparent: own };
    };
    const tracer: Tracer = { start: begin };
    await world.node('a', { tracer });
    const { fleet } = await world.driver();
    const [one, other] = await Promise.all([fleet.actor(Talker), fleet.actor(Talker)]);
    const trace = `00-${'7'.repeat(32)}-${'8'.repeat(16)}-01`;
    const nested = await one.$with({ trace }).askSeen(other as unknown as Talker);
    expect(spans.map(({ name }) => name)).toEqual(['Talker.askSeen', 'Talker.seen']);
    expect(spans[0]!.parent).toBe(trace);
    expect(spans[1]!.parent).toBe(spans[0]!.own);
    expect(nested).toBe(spans[1]!.own);
    expect(await one.taskSeen()).toBe(spans[3]!.own);
    expect(spans.slice(2).map(({ name }) => name)).toEqual(['Talker.taskSeen', 'seenByTask']);
    expect(spans[3]!.parent).toBe(spans[2]!.own);
  });
});

describe('the log of an actor', () => {
  const collect = async (lines: AsyncIterable<LogLine>, count: number) => {
    const texts: string[] = [];
    for await (const { level, text, node } of lines) if (texts.push(`${node} ${level} ${text}`) >= count) break;
    return texts;
  };

  it('has what it wrote to the console on all its nodes, and nothing of others', async () => {
    const a = await world.node('a');
    await world.node('b');
    const { fleet } = await world.driver();
    const options = { name: 'ann', near: { node: 'a' }, maxRestarts: 1, maxTaskRetries: 1, args: ['ann'] } as const;
    const ann = await fleet.actor(Talker, options as never);
    const bob = await fleet.actor(Talker, { name: 'bob' });
    const followed = collect(fleet.logs('ann', { follow: true }), 7);
    await ann.say('hello', { there: 1 });
    await bob.say('not of ann');
    await ann.warnLater('careful');
    expect(await collect(fleet.logs(ann.$id), 9)).toEqual([
      'a info made for ann',
      'a info hello { there: 1 }',
      'a warn careful',
    ]);
    ann.$send.fail();
    await ann.say('after');
    await a.vanish();
    await ann.say('elsewhere');
    expect((await followed).slice(3)).toEqual([
      'a error the sent call fail failed: Broke: no voice',
      'a info after',
      'b info made for ann',
      'b info elsewhere',
    ]);
    expect(await collect(fleet.logs('ann'), 9)).toEqual(['b info made for ann', 'b info elsewhere']);
  });
});
