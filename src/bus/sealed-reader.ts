import type { Clock } from '../clock.js';
import type { BusMessage } from './bus.js';
import { type Envelope, MessageOpener, type MessageRejection } from './seal.js';
import { StrangerBudget } from './stranger-budget.js';

/** Opens the messages of a sealed bus, and tells at little cost whose they are. */

/** Stands for all senders of which no message was opened. */
const STRANGERS = '';

export interface SealedReaderOptions {
  readonly clock: Clock;
  readonly secret: string;
  /** Limit on the senders whose keys are kept. */
  readonly sendersKept: number;
  readonly onDropped?: (reason: MessageRejection, subject: string) => void;
}

export interface OpenedMessage {
  readonly envelope: Envelope;
  readonly payload: Uint8Array;
}

export class SealedReader {
  private readonly opener: MessageOpener;
  private readonly strangers = new StrangerBudget();

  constructor(private readonly options: SealedReaderOptions) {
    this.opener = new MessageOpener(options.secret, options.sendersKept);
  }

  /**
   * As in `SubscribeOptions`: all that was not sealed by a known sender counts as one sender's, so that somebody who floods the bus without the secret, over
   * however many subjects, takes no place of members.
   */
  readonly senderOf = ({ nobody, subject, payload }: BusMessage): string | null => {
    if (nobody) return STRANGERS;
    const envelope = MessageOpener.peek(payload);
    if (envelope !== null) return this.opener.knows(envelope) ? envelope.origin : STRANGERS;
    this.options.onDropped?.('forged', subject);
    return null;
  };

  /** Null for a message that was not sealed with the secret; it is reported. */
  open(sealed: BusMessage): OpenedMessage | null {
    const envelope = MessageOpener.peek(sealed.payload);
    const payload = envelope && this.payloadOf(envelope, sealed);
    if (payload) return { envelope, payload };
    this.options.onDropped?.('forged', sealed.subject);
    return null;
  }

  /** Null for a message that was not sealed with the secret, and for one whose key would exceed the budget for keys of unknown sealers. */
  private payloadOf(envelope: Envelope, { subject, reply, payload }: BusMessage): Uint8Array | null {
    const asks = this.opener.asks(envelope);
    if (asks === 'refusal' || (asks === 'key' && !this.strangers.allows(this.options.clock.now()))) return null;
    const opened = this.opener.open(envelope, subject, reply ?? '', payload);
    if (opened === null && asks === 'key') this.strangers.failed();
    return opened;
  }
}
