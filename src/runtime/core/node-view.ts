import type { PeerAddress } from '../../core/member.js';
import type { Resources } from './resources.js';

/** The announcements that members of the runtime make about themselves. */

/** A class or a function that a node hosts. */
export interface HostedExport {
  readonly name: string;
  readonly kind: 'class' | 'function';
  /** Digest of the module's file. */
  readonly version: string;
  /** Digest of the text of the class or function. */
  readonly source: string;
  /** Of a class: the methods that return streams. Of a function that does: its own name. */
  readonly streams: readonly string[];
}

/** A node hosts actors and tasks; a driver is a program that only uses them. */
export interface NodeView {
  readonly id: string;
  readonly incarnation: string;
  readonly kind: 'node' | 'driver';
  readonly pid: number;
  readonly host: string;
  /** Where it can be dialled; null: it only dials. */
  readonly address: PeerAddress | null;
  /** The worker in the same process; null if there is none. */
  readonly worker: string | null;
  readonly exports: readonly HostedExport[];
  readonly total: Resources;
  readonly free: Resources;
  readonly actors: number;
  readonly tasks: number;
}
