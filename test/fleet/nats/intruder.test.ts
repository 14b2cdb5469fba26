import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FleetApi, WorkerRow } from '../../../bench/fleet/fleet-api.js';
import { recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import type { AnswerMessage, NodeMessage } from '../../../src/actors/envelope.js';
import { packForBus } from '../../../src/actors/linked-message.js';
import { NatsKeyValue } from '../../../src/bus/nats-key-value.js';
import type { Sender } from '../../../src/bus/seal.js';
import { CHARTER_FORMAT_VERSION } from '../../../src/fleet/charter.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { BLOCK_TOKENS, SEGMENT_BLOCKS } from '../../../src/limits.js';
import { modelFingerprint } from '../../../src/model/fingerprint.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { graphSignature } from '../../../src/model/graph-signature.js';
import { packTokens } from '../../../src/protocol/generate.js';
import { encode } from '../../../src/wire/msgpack.js';
import { announcement } from '../../support/announcement.js';
import { Intruder } from '../support/intruder.js';
import { JoinedCoordinator } from '../support/joined-coordinator.js';
import { JoinedProcess } from '../support/joined-process.js';
import { JoinedWorker } from '../support/joined-worker.js';
import { HEADERS, publishWithHeaders } from '../support/publish-with-headers.js';

/** Somebody who has the fleet's URL, user and password of NATS, but not its secret. */

const SHEET = recallSheet(16, 6);
const HELLOS = 5_000;
const NAMESPACE = 'shoal';
const SUBJECTS = fleetSubjects(NAMESPACE);
/** Tokens that must not be seen one after another. More than the four digits of a code, which times in the server's own messages have by chance. */
const RUN_TOKENS = 8;
/** One id of a call after another, as callers count them. */
const CALLS_GUESSED = 300;

/** Where the intruder gets through, a test waits in vain. */
/** Generous: a new coordinator starts while all that was said is repeated, and other fleets of the tests run beside. */
const LIMIT = { timeout: 600_000 };

/** Where workers listen. Nothing answers at the second address, so that all calls take NATS. */
const WORKER_ARGS = { direct: [], nats: ['--advertise-host', '127.0.0.2'] } as const;

describe.each(['direct', 'nats'] as const)('an intruder on NATS of a fleet whose calls go %s', LIMIT, (path) => {
  let dir: string;
  let server: EmbeddedServer;
  let env: Record<string, string>;
  let coordinator: JoinedCoordinator;
  let workers: JoinedWorker[];
  let intruder: Intruder;
  /** Everything that was started, to be stopped in reverse. */
  const started: { stop(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-test-'));
    server = await startNatsServer({ path: (await findNatsServer()).path, dir });
    const { url, user, password } = server;
    env = { SHOAL_NATS: url, SHOAL_NATS_USER: user, SHOAL_NATS_PASSWORD: password, SHOAL_SECRET: 'the secret of it' };
    intruder = await Intruder.connect({ url, user, password });
    workers = ['worker-1', 'worker-2'].map((id) => worker(id));
    coordinator = await newCoordinator('coordinator');
    await serving(coordinator, 2);
  });
  afterAll(async () => {
    await Promise.all(started.map((process) => process.stop()));
    await intruder?.close();
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  function worker(id: string, over: Record<string, string> = {}): JoinedWorker {
    const process = new JoinedWorker(id, [...WORKER_ARGS[path], '--metrics-port', 'off'], { ...env, ...over });
    started.push(process);
    return process;
  }

  async function newCoordinator(id: string): Promise<JoinedCoordinator> {
    const process = await JoinedCoordinator.start(id, env);
    started.push(process);
    return process;
  }

  function serving(fleet: FleetApi, count: number): Promise<WorkerRow[]> {
    return fleet.until((all) => all.filter(({ state }) => state === 'serving').length === count);
  }

  /** Asks some questions at once. */
  async function expectRightAnswers(fleet: FleetApi, from: number, to: number): Promise<void> {
    const questions = SHEET.questions.slice(from, to);
    const asked = questions.map(({ question }) => fleet.complete({ prompt: recallPrompt(SHEET, question) }));
    const texts = (await Promise.all(asked)).map(({ choices }) => choices[0]!.text.trim());
    expect(texts).toEqual(questions.map(({ answer }) => answer));
  }

  /** Identities that `GET /v1/fleet` shows, whatever their state. */
  async function shown(fleet: FleetApi): Promise<string[]> {
    return (await fleet.workers()).map(({ id, incarnation, pid }) => `${id} ${incarnation} ${pid}`).sort();
  }

  it('reads neither a prompt nor an answer', async () => {
    const prompt = recallPrompt(SHEET, SHEET.questions[0]!.question);
    const response = await coordinator.post('/tokenize', { prompt });
    const { tokens } = (await response.json()) as { tokens: number[] };
    const promptsSent = () =>
      intruder.recorded.filter(
        ({ subject, payload }) =>
          payload.byteLength > 4 * tokens.length && /^shoal\.node\.worker-\d\..*\.in$/.test(subject),
      ).length;
    // Calls that carry no prompt take this path too, and the first ones take NATS in any case, while direct links open.
    const enough = async () => (path === 'nats' ? promptsSent() >= 8 : (await coordinator.calls(path)) >= 8);
    while (!(await enough())) {
      await expectRightAnswers(coordinator, 0, 8);
      await intruder.bus.flush();
    }
    intruder.stopRecording();

    const runs = [...tokens.keys()].slice(0, -RUN_TOKENS).map((at) => tokens.slice(at, at + RUN_TOKENS));
    const secrets = [
      ...runs.map((run) => Buffer.from(packTokens(run))),
      ...runs.map((run) => Buffer.concat(run.map((id) => encode(id)))),
      ...SHEET.notes.split('\n').map((line) => Buffer.from(line)),
      ...SHEET.questions.map(({ question }) => Buffer.from(question)),
    ];
    const leaks = (payload: Uint8Array) => secrets.some((secret) => Buffer.from(payload).includes(secret));
    // The check itself finds a prompt that is not sealed.
    expect(leaks(encode({ type: 'call', request: { tokens: packTokens(tokens) } }))).toBe(true);
    expect(leaks(encode({ type: 'tokens', ids: tokens.slice(0, 8) }))).toBe(true);

    const { recorded } = intruder;
    expect(recorded.filter(({ subject }) => subject === SUBJECTS.announce).length).toBeGreaterThan(0);
    expect(recorded.filter(({ payload }) => leaks(payload)).map(({ subject }) => subject)).toEqual([]);
  });

  it('changes nothing by forged or repeated messages', async () => {
    const before = await shown(coordinator);
    const rows = await coordinator.workers();
    const fingerprint = await recallFingerprint();
    const speaks = JSON.stringify(intruder.recorded.map(({ subject }) => subject));
    const incarnation = /\.(?:node|proof)\.coordinator\.([^."]+)/.exec(speaks)![1]!;
    const caller = { id: 'coordinator', incarnation };

    let answered = false;
    const asked = expectRightAnswers(coordinator, 8, 16).finally(() => {
      answered = true;
    });
    asked.catch(() => {});
    forgeAnnouncements(intruder, rows, fingerprint);
    for (const row of rows) forgeCalls(intruder, row, caller, fingerprint);
    forgeAnswers(intruder, caller, rows[0]!);
    // What the server says itself cannot be sealed, so nobody may take it as true.
    while (!answered) {
      forgeNobodies(intruder, caller, rows);
      await intruder.bus.flush();
    }
    for (let i = 0; i < HELLOS; i++) intruder.bus.publish(SUBJECTS.hello, new Uint8Array(0));
    await intruder.replay();
    await asked;

    const said = await workers[0]!.logged('do not carry the secret of this fleet');
    expect(JSON.parse(said)).toMatchObject({ level: 'warn' });
    await expectRightAnswers(coordinator, 0, 8);
    expect(await shown(coordinator)).toEqual(before);
    await serving(coordinator, 2);
  });

  it('ends nobody, holds nobody up, and spoils no value, by headers', async () => {
    const before = await shown(coordinator);
    const { url, user, password } = server;
    const bucket = `shoal-${NAMESPACE}`;
    const subjects = new Set(
      intruder.recorded.map(({ subject }) => subject).filter((subject) => !/^[$_]/.test(subject)),
    );
    for (const kind of ['unreadable', 'many'] as const) {
      await publishWithHeaders({ url, user, password }, HEADERS[kind], subjects);
      await expectRightAnswers(coordinator, 0, 8);
      expect(await shown(coordinator)).toEqual(before);
    }
    const values = await NatsKeyValue.open(intruder.bus, bucket);
    const charter = async () => Buffer.from((await values.get('charter'))!.value).toString('latin1');
    for (const kind of ['unreadable', 'odd'] as const) {
      await publishWithHeaders({ url, user, password }, HEADERS[kind], [`$KV.${bucket}.charter`], 'no charter');
      await expect.poll(charter, LIMIT).not.toBe('no charter');
    }
  });

  it('keeps no worker from joining by another charter', async () => {
    const bucket = await NatsKeyValue.open(intruder.bus, `shoal-${NAMESPACE}`);
    const forged = {
      formatVersion: CHARTER_FORMAT_VERSION,
      blockTokens: BLOCK_TOKENS,
      segmentBlocks: SEGMENT_BLOCKS,
      fingerprint: 'f'.repeat(64),
      replicas: 7,
      model: 'forged',
    };
    const found = await bucket.get('charter');
    expect(await bucket.update('charter', encode(forged), found!.revision)).toBe(true);
    const late = worker('late');
    await late.logged('"serving"');
    await serving(coordinator, 3);
  });

  it('cannot join as a worker', async () => {
    const before = await shown(coordinator);
    const stranger = new JoinedProcess(['worker', '--worker-id', 'stranger', '--metrics-port', 'off'], {
      ...env,
      SHOAL_SECRET: 'the secret of another',
    });
    started.push(stranger);
    expect(await stranger.ended).toBe(1);
    expect(stranger.lines.join('\n')).toMatch(/another cluster secret.*SHOAL_SECRET/);
    expect(await shown(coordinator)).toEqual(before);
  });

  it('cannot make a new coordinator believe in a worker that is gone', async () => {
    expect(await workers[1]!.stop()).toBe(0);
    const alive = (await serving(coordinator, 2)).map(({ id }) => id).filter((id) => id !== 'worker-2');
    let repeating = true;
    const rounds = (async () => {
      while (repeating) {
        await intruder.replay();
        // The new coordinator needs the processors too.
        await setTimeout(20);
      }
    })();
    const seen = new Set<string>();
    const second = await newCoordinator('second');
    try {
      for (const { id } of await serving(second, 2)) seen.add(id);
    } finally {
      repeating = false;
      await rounds;
    }
    await intruder.replay();
    for (const { id } of await second.workers()) seen.add(id);
    expect([...seen].sort()).toEqual(alive.sort());
    await expectRightAnswers(second, 0, 8);
    await expectRightAnswers(coordinator, 0, 8);
  });
});

async function recallFingerprint(): Promise<string> {
  const folder = await openModelFolder(fileURLToPath(new URL('../../../models/recall', import.meta.url)));
  return modelFingerprint(folder, graphSignature(folder.graph, folder.config, BLOCK_TOKENS).layout);
}

/** A new worker, a later incarnation of each, one of another model; and that each is gone, stale, or has blocks that it has not. */
function forgeAnnouncements(intruder: Intruder, rows: readonly WorkerRow[], fingerprint: string): void {
  const stranger: Sender = { id: 'forged', incarnation: '0001' };
  intruder.forge(SUBJECTS.announce, announcement('forged', { fingerprint }), stranger);
  intruder.forge(SUBJECTS.coordinator, { id: 'forged', pid: 1, host: 'forged' }, stranger);
  for (const { id, incarnation } of rows) {
    const as = { id, incarnation };
    const later = `${incarnation}-later`;
    intruder.forge(SUBJECTS.announce, announcement(id, { incarnation: later, fingerprint }), as);
    intruder.forge(SUBJECTS.announce, announcement(id, { incarnation: later, fingerprint }), {
      id,
      incarnation: later,
    });
    intruder.forge(SUBJECTS.announce, announcement(id, { incarnation, fingerprint: 'f'.repeat(64) }), as);
    intruder.forge(SUBJECTS.leave, as, as);
    const latest = { generation: 1_000_000, incarnation: later, refutation: 0 };
    intruder.forge(SUBJECTS.refusal, { ...as, latest }, as);
    const delta = {
      worker: id,
      incarnation,
      seq: 1_000_000,
      added: new Uint8Array(32 * 100),
      removed: new Uint8Array(0),
    };
    intruder.forge(SUBJECTS.holdings(id), delta, as);
  }
}

/** Calls to a worker, and cancellations and questions after calls that run there. */
function forgeCalls(intruder: Intruder, row: WorkerRow, caller: Sender, fingerprint: string): void {
  const to = `${NAMESPACE}.node.${row.id}.${row.incarnation}.in`;
  const from = { node: caller.id, incarnation: caller.incarnation };
  const say = (message: NodeMessage) => intruder.forge(to, packForBus({ to: 'node', message }, from), caller);
  const call = (id: number, actor: string, method: string, kind: 'ask' | 'stream', request: object) =>
    say({ type: 'call', id, from, protocol: actor, actor, method, kind, deadlineMs: null, request });
  const generate = {
    requestId: 'forged',
    fingerprint,
    tokens: packTokens([1, 2, 3]),
    resumeTokens: 0,
    salt: '',
    sources: [],
    sampling: {},
    stopping: {},
  };
  call(1_000_001, 'engine', 'generate', 'stream', generate);
  call(1_000_002, 'shard', 'reset', 'ask', {});
  call(1_000_003, 'worker', 'drain', 'ask', {});
  for (let id = 1; id <= CALLS_GUESSED; id++) say({ type: 'cancel', id, from });
  say({ type: 'probe', from, calls: [[1, 0]] });
  for (const actor of ['engine', 'shard', 'worker']) {
    const message = { id: 1, from, protocol: actor, actor };
    intruder.forge(`${NAMESPACE}.lookup.${actor}`, packForBus({ to: 'all', message }, from), caller);
  }
}

/** Answers to the calls of a coordinator. */
function forgeAnswers(
  intruder: Intruder,
  { id: node, incarnation }: Sender,
  { id: worker, incarnation: its }: WorkerRow,
): void {
  const to = `${NAMESPACE}.node.${node}.${incarnation}.in`;
  const from = { node: worker, incarnation: its };
  const say = (id: number, message: AnswerMessage) =>
    intruder.forge(to, packForBus({ to: 'call', id, message }, from), { id: worker, incarnation: its });
  for (let id = 1; id <= CALLS_GUESSED; id++) {
    const items = [
      { type: 'tokens', ids: [1, 2, 3] },
      { type: 'end', reason: 'stop', token: null },
    ];
    say(id, { type: 'items', first: 0, items: items.map(encode) });
    say(id, { type: 'end', items: 0 });
    say(id, { type: 'failure', error: { code: 'internal', message: 'forged' } });
  }
}

/** That the workers do not listen to the calls and the probes of a coordinator. */
function forgeNobodies(intruder: Intruder, { id: node, incarnation }: Sender, rows: readonly WorkerRow[]): void {
  const base = `${NAMESPACE}.node.${node}.${incarnation}`;
  for (const row of rows) intruder.forgeNobody(`${base}.absent.${row.id}.${row.incarnation}`);
}
