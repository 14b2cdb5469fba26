import type { ShoalError } from '../../errors.js';
import type { Connection } from '../wire/connection.js';
import type { Prelude } from '../wire/frame.js';
import type { Dialler } from '../wire/greeting.js';
import type { PeerIdentity } from '../wire/handshake.js';
import type { CallConnection } from './call-connection.js';

/** The dialling side of a connection for calls: passes everything on to the link, once the handshake has made one. */
export class CallDialler implements Dialler {
  private link: CallConnection | null = null;

  constructor(
    private readonly makeLink: (connection: Connection, server: PeerIdentity) => CallConnection,
    /** The handshake came to nothing, for this reason. */
    private readonly onFailed: (reason: ShoalError) => void,
  ) {}

  opened(connection: Connection, server: PeerIdentity): void {
    this.link = this.makeLink(connection, server);
  }

  admit(prelude: Prelude): void {
    this.link!.admit(prelude);
  }

  begin(prelude: Prelude, header: Uint8Array): Uint8Array | null {
    return this.link!.begin(prelude, header);
  }

  wants(): boolean {
    return this.link!.wants();
  }

  end(): void {
    this.link!.end();
  }

  awaits(): boolean {
    return this.link === null;
  }

  closed(reason: ShoalError): void {
    if (this.link) this.link.closed(reason);
    else this.onFailed(reason);
  }
}
