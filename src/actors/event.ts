/** Events of an actor system that no caller sees, for counters and logs. */
export type ActorEvent =
  /** A message was dropped. Nodes of one version never send `malformed` messages to each other. */
  | {
      readonly type: 'dropped';
      readonly reason: 'malformed' | 'duplicate' | 'undeliverable';
      readonly what: string;
    }
  | {
      readonly type: 'crashed';
      readonly actor: string;
      readonly error: unknown;
      readonly restartAfterMs: number | null;
    }
  | { readonly type: 'gaveUp'; readonly actor: string; readonly error: unknown }
  /** A function registered with `onStop` failed. */
  | { readonly type: 'stopFailed'; readonly actor: string; readonly error: unknown };

export type ObserveActors = (event: ActorEvent) => void;
