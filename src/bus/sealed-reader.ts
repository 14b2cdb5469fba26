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
  /** Messages that wait, and were opened before. */
  private readonly opened = new WeakMap<BusMessage, OpenedMessage>();

  constructor(private readonly options: SealedReaderOptions) {
    this.opener = new MessageOpener(options.secret, options.sendersKept);
  }

  /**
   * As in `SubscribeOptions`: all that was not sealed by a known sender, and all that it sealed but came before, counts as one sender's, so that somebody
   * who floods the bus without the secret, over however many subjects, takes no place of members. What names a known sender is opened at once, because
   * anybody can copy that name. That costs no more than to open it in its turn, and what is forged gets no turn.
   * @param isRepeated asked once of each message that a known sender has sealed
   */
  senderOf(message: BusMessage, isRepeated: (envelope: Envelope) => boolean): string | null {
    if (message.nobody) return STRANGERS;
    const envelope = MessageOpener.peek(message.payload);
    if (envelope !== null && !this.opener.knows(envelope)) return STRANGERS;
    const payload = envelope && this.payloadOf(envelope, message);
    if (payload === null) {
      this.options.onDropped?.('forged', message.subject);
      return null;
    }
    this.opened.set(message, { envelope: envelope!, payload });
    return isRepeated(envelope!) ? STRANGERS : envelope!.origin;
  }

  /** Null for a message that was not sealed with the secret; it is reported. */
  open(sealed: BusMessage): OpenedMessage | null {
    const before = this.opened.get(sealed);
    if (before) return before;
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
