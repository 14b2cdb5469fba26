import { z } from 'zod';

/** The messages by which coordinators share which prompts crash workers. Prompts travel as fingerprints only. */

/** Characters of a prompt's fingerprint: 16 bytes in hex. */
export const PROMPT_FINGERPRINT_CHARS = 32;
/** Limit on the prompts in one message. */
export const PROMPTS_PER_SUSPICION = 256;

/** Limit on the remembered messages that a worker reports. */
const REMEMBERED_MESSAGES = 512;

const Name = z.string().min(1).max(128);
const Prompt = z.string().length(PROMPT_FINGERPRINT_CHARS);
const Milliseconds = z.number().min(0);

/** Quarantined requests, with the time that is left. `request` is null where all requests with the prompt are refused. */
export const QuarantinedPrompts = z
  .array(z.strictObject({ prompt: Prompt, request: Prompt.nullable().default(null), forMs: Milliseconds }))
  .max(PROMPTS_PER_SUSPICION);
export type QuarantinedPrompts = z.infer<typeof QuarantinedPrompts>;

/** A message between coordinators, on `<fleet>.suspicion` and over workers. */
export const SuspicionMessage = z.discriminatedUnion('type', [
  /** These prompts had begun on a worker when it was lost. */
  z.strictObject({
    type: z.literal('witnessed'),
    from: Name,
    worker: Name,
    incarnation: Name,
    /** Time since the loss. */
    agoMs: Milliseconds,
    prompts: z
      .array(
        z.strictObject({
          prompt: Prompt,
          /** The request that ran there; null if several with this prompt did. */
          request: Prompt.nullable(),
          /** Tokens of the answer, including earlier attempts. */
          tokens: z.int().min(0),
          /** Tokens that this worker generated. */
          fresh: z.int().min(0),
          ranMs: Milliseconds,
        }),
      )
      .max(PROMPTS_PER_SUSPICION),
  }),
  /** A prompt that is not proved harmless is about to run on a worker, or runs there no longer. */
  z.strictObject({
    type: z.literal('claim'),
    from: Name,
    prompt: Prompt,
    worker: Name,
    runs: z.boolean(),
    /** Rises with each claim and release of this coordinator: messages forwarded by workers can overtake each other. */
    seq: z.int().min(0),
    suspect: z.boolean(),
  }),
  /** A request with a suspect prompt got past the point where these workers were lost. */
  z.strictObject({
    type: z.literal('cleared'),
    from: Name,
    prompt: Prompt,
    request: Prompt,
    losses: z.array(z.string().max(257)).max(PROMPTS_PER_SUSPICION),
  }),
  /** A worker was killed deliberately, not by a prompt. */
  z.strictObject({ type: z.literal('killed'), from: Name, worker: Name, incarnation: Name }),
  z.strictObject({ type: z.literal('quarantined'), from: Name, prompts: QuarantinedPrompts }),
  /** A coordinator is alive. Sent over workers while NATS does not carry all messages. `deaf`: this coordinator does not hear NATS. */
  z.strictObject({ type: z.literal('here'), from: Name, deaf: z.boolean() }),
]);
export type SuspicionMessage = z.infer<typeof SuspicionMessage>;

/** The messages that a worker remembers. */
export const RememberedSuspicions = z.strictObject({ messages: z.array(SuspicionMessage).max(REMEMBERED_MESSAGES) });
