import { Deferred } from '../../async/deferred.js';
import { Corrupt, fromWire, type ShoalError } from '../../errors.js';
import type { ServerMessage } from '../wire/messages.js';
import type { Exchange, Line } from './exchange.js';

/** Asks for a sign of life. */
export class PingExchange implements Exchange<void> {
  private readonly outcome = new Deferred<void>();

  get result(): Promise<void> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    line.send({ type: 'ping' });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    if (message.type === 'pong') this.outcome.resolve();
    else if (message.type === 'error') this.outcome.reject(fromWire(message));
    else throw new Corrupt(`a peer answered a ping with '${message.type}'`);
  }

  giveUp(reason: ShoalError): void {
    this.outcome.reject(reason);
  }

  fail(reason: ShoalError): void {
    this.outcome.reject(reason);
  }
}
