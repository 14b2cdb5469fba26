import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import { readBody } from './body.js';
import { BodyBudget, SMALL_BODY_BYTES } from './body-budget.js';
import { parseJsonBody } from './json-body.js';
import { JsonShape } from './json-shape.js';
import { LongJobs } from './long-jobs.js';

/** Part of a large body that is looked through in one turn of the event loop. */
const SHAPE_TURN_BYTES = 2 ** 20;

export interface BodiesOptions {
  /** Limit on one body. */
  readonly limitBytes: number;
  /** Limit on all bodies together. */
  readonly budgetBytes: number;
}

/** Reads and parses request bodies, within limits on their memory and on the time that they take from other requests. */
export class Bodies {
  private readonly budget: BodyBudget;
  private readonly longJobs: LongJobs;

  constructor(
    private readonly options: BodiesOptions,
    clock: Clock,
  ) {
    this.budget = new BodyBudget(options.budgetBytes, clock);
    this.longJobs = new LongJobs(clock);
  }

  /**
   * The JSON of a request's body; undefined if it is empty. Its memory counts until `response` closes.
   * @throws ApiError and the errors of `readBody`
   */
  async read(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const { bytes, share } = await readBody(request, this.options.limitBytes, this.budget);
    if (response.closed) share.release();
    else response.once('close', () => share.release());
    return bytes.byteLength <= SMALL_BODY_BYTES ? parse(bytes) : await this.parseInTurns(bytes, response);
  }

  private async parseInTurns(bytes: Buffer, response: ServerResponse): Promise<unknown> {
    const shape = new JsonShape();
    const inTurn = <T>(job: () => T) =>
      this.longJobs.run(() => {
        if (response.closed) throw new Cancelled('the client disconnected');
        return job();
      });
    for (let at = 0; at < bytes.byteLength; at += SHAPE_TURN_BYTES)
      await inTurn(() => shape.take(bytes.subarray(at, at + SHAPE_TURN_BYTES)));
    return await inTurn(() => parseJsonBody(bytes));
  }
}

function parse(bytes: Buffer): unknown {
  new JsonShape().take(bytes);
  return parseJsonBody(bytes);
}
