/** What happens in an actor system that no caller sees: for counters and logs. */
export type ActorEvent =
  /** A message was not handled. `malformed` should never happen between nodes of one version. */
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
  /** A function given to `onStop` failed. */
  | { readonly type: 'stopFailed'; readonly actor: string; readonly error: unknown };

export type ObserveActors = (event: ActorEvent) => void;
