import { z } from 'zod';

/** The message by which coordinators share what keys and subjects have used, on `<fleet>.usage`. */

/** Subjects in one message. */
export const SUBJECTS_PER_USAGE = 256;

const Name = z.string().min(1).max(256);
const Count = z.int().min(0);

const SubjectUsage = z.strictObject({
  subject: Name,
  /** Counted since the sender first used the subject. A receiver adds the difference from the last message; a smaller count is a new beginning. */
  requests: Count,
  tokens: Count,
  /** Now, at the sender. */
  running: Count,
  /** The part of it that the limits per minute have not replaced yet, for a receiver that has not heard of the sender before. */
  recent: z.strictObject({ requests: z.number().min(0), tokens: z.number().min(0) }),
  /** A day, counted from 1970, and the tokens of that day: the sender's own, and the total of all coordinators known to it. */
  today: z.strictObject({ day: Count, own: Count, total: Count }),
});
export type SubjectUsage = z.infer<typeof SubjectUsage>;

export const UsageMessage = z.strictObject({
  /** The incarnation of the sending coordinator. */
  from: Name,
  subjects: z.array(SubjectUsage).max(SUBJECTS_PER_USAGE),
});
