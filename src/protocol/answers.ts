import { z } from 'zod';
import { ask, defineProtocol } from '../actors/protocol.js';
import { PurgedGroup } from './worker.js';

/** The protocol of the answers that a coordinator remembers for retries: the coordinator that purges asks all others. */
export const AnswersProtocol = defineProtocol('answers', {
  /** Forgets the answers of an owner of salts, or of a salt. */
  forget: ask(PurgedGroup, z.strictObject({ answers: z.int().min(0) })),
});

/** Name of the actor in each coordinator. */
export const ANSWERS_ACTOR = 'answers';
