import type { Bus, Subscription } from '../../src/bus/bus.js';
import type { KeyValue } from '../../src/bus/key-value.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { MembershipEffect } from '../../src/core/membership-events.js';
import type { Salt } from '../../src/core/salt.js';
import { PoisonousPrompt, Unavailable } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import type { FleetSubjects } from '../../src/fleet/subjects.js';
import { tryPublish } from '../../src/fleet/try-publish.js';
import type { Log } from '../../src/log.js';
import { PROMPTS_PER_SUSPICION, QuarantinedPrompts, SuspicionMessage } from '../../src/protocol/suspicion.js';
import { encode } from '../../src/wire/msgpack.js';
import { readMessage } from '../../src/wire/read-message.js';
import { Claims } from './claims.js';
import type { LinkEndings } from './link-endings.js';
import type { Loss, Witness } from './loss.js';
import { Presence } from './presence.js';
import { PromptFingerprint, type RequestFields } from './prompt-fingerprint.js';
import { QUARANTINE_MS, Quarantine } from './quarantine.js';
import type { Convicted, RequestName } from './request-name.js';
import { Suspects } from './suspects.js';
import type { WorkerRelay } from './worker-relay.js';

/** Keeps prompts that crash workers out of the fleet, together with the other coordinators. */

/** Interval at which a coordinator repeats its quarantined prompts. */
const REPEAT_MS = 5_000;
/** Attempts to write the quarantine to the bucket, which several coordinators may change at once. */
const SAVE_ATTEMPTS = 8;
/** Interval at which a coordinator announces itself over workers while NATS does not carry all messages. */
const HERE_MS = 1_000;
/** Time after the start of a coordinator in which prompts wait until each new worker has reported its record. */
const LEARNING_MS = 3_000;
/** Pause after a worker has joined, before the evidence is sent to the workers: many may join at once. */
const RETELL_AFTER_MS = 100;
const KEY = 'quarantine';

export interface PoisonGuardOptions {
  readonly bus: Bus;
  /** A second way to the other coordinators, and the memory of workers. */
  readonly relay: WorkerRelay;
  readonly clock: Clock;
  readonly subjects: FleetSubjects;
  readonly roster: Roster;
  readonly endings: LinkEndings;
  readonly log: Log;
  /** Incarnation of this coordinator: its id may have been given to another one, too. */
  readonly self: string;
  /** The cluster secret, with which prompts are hashed. */
  readonly secret: string;
  /** Opens the fleet's bucket, which keeps the quarantine while no coordinator is alive. */
  readonly openBucket: () => Promise<KeyValue>;
  /** Whether the fleet has no other coordinator. */
  readonly alone: () => boolean;
  /** A prompt was quarantined by this coordinator. */
  readonly onQuarantined: () => void;
  /** A request was refused because of its prompt. */
  readonly onRefused: () => void;
}

export class PoisonGuard {
  readonly suspects: Suspects;
  readonly claims: Claims;
  private readonly quarantine: Quarantine;
  private readonly fingerprints: PromptFingerprint;
  private bucket: Promise<KeyValue> | null = null;
  private listening: Subscription[] = [];
  private repeating: Timer | null = null;
  private greeting: Timer | null = null;
  private retelling: Timer | null = null;
  private readonly presence: Presence;
  private startedMs = Number.NEGATIVE_INFINITY;
  /** Workers that have not reported their record yet. */
  private asked = 0;

  constructor(private readonly options: PoisonGuardOptions) {
    const { clock, roster, self: from, secret } = options;
    this.fingerprints = new PromptFingerprint(secret);
    this.quarantine = new Quarantine(clock);
    this.presence = new Presence(clock);
    const alone = () => options.alone() && !this.presence.anybody;
    this.claims = new Claims({
      ...{ clock, self: from, alone },
      tell: (message) => this.tell(message),
      onReleased: () => this.suspects.changed.notifyAll(),
    });
    this.suspects = new Suspects({
      clock,
      trusts: (worker, incarnation) => {
        const member = roster.members().find(({ id }) => id === worker);
        return member?.incarnation === incarnation && member.state !== 'dead' && member.state !== 'suspect';
      },
      fellSilent: (instance) => options.endings.isUnclosed(instance),
      isConvicted: (prompt) => this.quarantine.has(prompt),
      isRefused: (prompt) => this.quarantine.hasAll(prompt),
      hearsOthers: () => options.roster.hearsOthers,
      onWitnessed: (loss, witnesses) => this.tellWitnesses(loss, witnesses),
      claims: this.claims,
      serving: () => roster.members().filter(({ state }) => state === 'serving').length,
      alone,
      onCleared: (name, losses) => this.tell({ type: 'cleared', from, ...name, losses: [...losses] }),
      onVerdict: (convicted, workers) => this.convicted(convicted, workers),
    });
  }

  /** Starts to follow the fleet. Call it before the roster starts. Resolves when the bucket's quarantine is known. */
  async start(): Promise<void> {
    const { bus, clock, subjects, roster } = this.options;
    this.startedMs = clock.now();
    roster.listen((effect) => this.follow(effect));
    roster.onAnnounced(({ id, incarnation, running, waiting }) =>
      this.suspects.probation.hear(id, incarnation, running + waiting),
    );
    this.listening = [
      bus.subscribe(subjects.suspicion, ({ payload }) => this.hear(readMessage(SuspicionMessage, payload))),
      // A new process asks for the members.
      bus.subscribe(subjects.hello, () => {
        this.retell();
      }),
    ];
    this.repeating = clock.every(REPEAT_MS, () => this.repeat());
    this.greeting = clock.every(HERE_MS, () => this.greet());
    await this.withBucket(async (bucket) => this.take((await read(bucket)).prompts));
  }

  stop(): void {
    this.repeating?.cancel();
    this.greeting?.cancel();
    this.retelling?.cancel();
    for (const subscription of this.listening) subscription.unsubscribe();
    this.suspects.stop();
  }

  /** A supervisor knows that this incarnation of a worker was killed deliberately. */
  killed(worker: string, incarnation: string): void {
    this.suspects.killed(worker, incarnation);
    this.tell({ type: 'killed', from: this.options.self, worker, incarnation });
  }

  /** Whether this coordinator may lack evidence that workers remember. Ends with a notification of `suspects.changed`. */
  get learning(): boolean {
    return this.asked > 0 && this.options.clock.now() < this.startedMs + LEARNING_MS;
  }

  /** Takes another coordinator's message that a worker forwarded. */
  hearByWorker(message: SuspicionMessage): void {
    if (message.from === this.options.self) return;
    this.presence.hear(message);
    this.hear(message);
  }

  nameOf(tokens: Uint32Array, salt: Salt, fields: RequestFields): RequestName {
    return this.fingerprints.nameOf(tokens, salt, fields);
  }

  /** @throws PoisonousPrompt if the request is quarantined */
  check(name: RequestName): void {
    if (!this.quarantine.refuses(name)) return;
    this.options.onRefused();
    const minutes = QUARANTINE_MS / 60_000;
    throw new PoisonousPrompt(
      this.quarantine.hasAll(name.prompt)
        ? `cannot answer this prompt: workers crashed while they computed it; change the prompt: it is refused for ${minutes} minutes`
        : `cannot answer this request: workers crashed while they computed it; change the prompt or the sampling fields: the same request is refused for ${minutes} minutes`,
    );
  }

  /** Puts the quarantined prompts back into the bucket, in case NATS loses them. */
  async keep(): Promise<void> {
    const prompts = this.quarantine.list();
    if (prompts.length === 0) return;
    await this.withBucket(async (bucket) => {
      const kept = new Set((await read(bucket)).prompts.map(sentenceOf));
      if (prompts.some((each) => !kept.has(sentenceOf(each)))) await this.save(bucket);
    });
  }

  private follow(effect: MembershipEffect): void {
    if (effect.type === 'suspect' && effect.cause === 'link') this.suspects.unlink(effect.id, effect.incarnation);
    if (effect.type === 'dead' || effect.type === 'left') this.suspects.probation.gone(effect.id);
    if (effect.type === 'dead') this.suspects.dead(effect.id, effect.incarnation, effect.cause === 'fenced');
    if (effect.type === 'left') this.suspects.spared(effect.id, effect.incarnation);
    if (effect.type === 'joined') void this.learn(effect.id, effect.incarnation);
    if (effect.type === 'cleared' || effect.type === 'joined') this.suspects.lives(effect.id, effect.incarnation);
  }

  /** Asks a worker that joined for its record, and sends it the evidence known here: the worker may be new. */
  private async learn(worker: string, incarnation: string): Promise<void> {
    this.asked++;
    try {
      for (const message of await this.options.relay.learn(worker, incarnation)) this.hear(message);
    } finally {
      this.asked--;
      this.suspects.changed.notifyAll();
    }
    this.retelling ??= this.options.clock.after(RETELL_AFTER_MS, () => {
      this.retelling = null;
      this.retell();
    });
  }

  private retell(): void {
    this.repeat();
    this.suspects.retell();
  }

  private greet(): void {
    const deaf = !this.options.roster.hears;
    if (deaf || this.presence.anybodyDeaf) this.options.relay.tell({ type: 'here', from: this.options.self, deaf });
  }

  private convicted(convicted: Convicted, workers: readonly string[]): void {
    const { log, onQuarantined } = this.options;
    if (!this.quarantine.add(convicted)) return;
    onQuarantined();
    const { prompt, request } = convicted;
    const fields = { fingerprint: prompt, request, workers, forMs: QUARANTINE_MS };
    log.error(fields, 'a prompt crashed workers and is quarantined');
    this.repeat();
    void this.withBucket((bucket) => this.save(bucket));
  }

  /** Adds the prompts that another coordinator quarantined. */
  private take(prompts: QuarantinedPrompts): void {
    for (const { forMs, ...convicted } of prompts) {
      if (!this.quarantine.add(convicted, forMs)) continue;
      const { prompt, request } = convicted;
      this.options.log.warn({ fingerprint: prompt, request, forMs }, 'another coordinator quarantined a prompt');
      this.suspects.convict(convicted);
    }
  }

  private repeat(): void {
    const prompts = this.quarantine.list();
    if (prompts.length > 0) this.tell({ type: 'quarantined', from: this.options.self, prompts });
  }

  private tell(message: SuspicionMessage): boolean {
    const { bus, subjects, relay, roster } = this.options;
    const published = tryPublish(bus, subjects.suspicion, encode(message));
    // Claims are many, and soon out of date: workers carry them only where NATS does not.
    const isCarried = message.type === 'claim' && published && roster.hears && !this.presence.anybodyDeaf;
    const relayed = !isCarried && relay.tell(message);
    return published || relayed;
  }

  private tellWitnesses({ worker, incarnation, atMs }: Loss, witnesses: ReadonlyMap<string, Witness>): void {
    const nowMs = this.options.clock.now();
    const loss = { worker, incarnation, agoMs: nowMs - atMs };
    const prompts = [...witnesses].map(([prompt, { request, tokens, fresh, placedMs }]) => {
      return { prompt, request, tokens, fresh, ranMs: nowMs - placedMs };
    });
    for (let i = 0; i < prompts.length; i += PROMPTS_PER_SUSPICION) {
      const some = prompts.slice(i, i + PROMPTS_PER_SUSPICION);
      this.tell({ type: 'witnessed', from: this.options.self, ...loss, prompts: some });
    }
  }

  private hear(message: SuspicionMessage | null): void {
    if (message?.type === 'claim') this.claims.hear(message);
    if (message === null || message.from === this.options.self) return;
    switch (message.type) {
      case 'witnessed': {
        const nowMs = this.options.clock.now();
        const witnesses = message.prompts.map(
          ({ prompt, ranMs, ...said }) => [prompt, { ...said, placedMs: nowMs - ranMs }] as const,
        );
        const { worker, incarnation, agoMs } = message;
        this.suspects.witnessedElsewhere({ worker, incarnation, atMs: nowMs - agoMs }, new Map(witnesses));
        break;
      }
      case 'killed':
        this.suspects.killed(message.worker, message.incarnation);
        break;
      case 'cleared':
        this.suspects.clearedElsewhere(message, message.losses);
        break;
      case 'quarantined':
        this.take(message.prompts);
    }
  }

  private async save(bucket: KeyValue): Promise<void> {
    for (let attempt = 0; attempt < SAVE_ATTEMPTS; attempt++) {
      const { prompts, revision } = await read(bucket);
      this.take(prompts);
      const value = encode(this.quarantine.list());
      const saved = revision === null ? bucket.create(KEY, value) : bucket.update(KEY, value, revision);
      if (await saved) return;
    }
  }

  /** Uses the bucket. Without one, only living coordinators remember the quarantine. */
  private async withBucket(use: (bucket: KeyValue) => Promise<void>): Promise<void> {
    try {
      this.bucket ??= this.options.openBucket();
      await use(await this.bucket);
    } catch (error) {
      this.bucket = null;
      if (!(error instanceof Unavailable)) throw error;
      this.options.log.debug({ reason: error.message }, 'the quarantine is kept by the coordinators only');
    }
  }
}

function sentenceOf({ prompt, request }: Convicted): string {
  return `${prompt} ${request}`;
}

async function read(bucket: KeyValue): Promise<{ prompts: QuarantinedPrompts; revision: number | null }> {
  const entry = await bucket.get(KEY);
  const prompts = (entry && readMessage(QuarantinedPrompts, entry.value)) ?? [];
  return { prompts, revision: entry?.revision ?? null };
}
