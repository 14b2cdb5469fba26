/** The measurements of a trial of a model's graph on its device. */

/**
 * For each pair of ways to compute the same logits, the greatest difference of the log-probabilities of likely tokens. Null if the device cannot
 * do the second way.
 */
export interface GraphTrial {
  /** A prompt in one run, and in several. */
  readonly chunk: number | null;
  /** A prompt computed whole, and after blocks that were copied out of one slot and into another. */
  readonly hit: number | null;
  /** A token in a run of the prompt, and in a step of its own. */
  readonly step: number;
  /** A step alone, and in a batch with another sequence. */
  readonly batch: number | null;
}
