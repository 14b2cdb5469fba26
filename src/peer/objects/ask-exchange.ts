import { Deferred } from '../../async/deferred.js';
import { Corrupt, fromWire, type ShoalError } from '../../errors.js';
import type { ObjectExchange, ObjectLine } from './object-link.js';
import type { ObjectServerMessage, QuestionIn } from './object-messages.js';

/** A question with one message for an answer. */
export class AskExchange implements ObjectExchange {
  private readonly outcome = new Deferred<unknown>();

  constructor(private readonly question: QuestionIn) {}

  get result(): Promise<unknown> {
    return this.outcome.promise;
  }

  start(line: ObjectLine): void {
    line.send({ type: 'ask', question: this.question as never });
  }

  target(): null {
    return null;
  }

  received(message: ObjectServerMessage): boolean {
    if (message.type === 'answer') this.outcome.resolve(message.value);
    else if (message.type === 'error') this.outcome.reject(fromWire(message));
    else throw new Corrupt(`a peer answered a question with '${message.type}'`);
    return true;
  }

  fail(reason: ShoalError): void {
    this.outcome.reject(reason);
  }
}
