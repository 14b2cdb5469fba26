/** Whether the page hears of the fleet. */
export type FeedStatus =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  /** The coordinator is gone, or refuses for a reason that may pass. */
  | {
      readonly state: 'lost';
      readonly why: string;
      /** When the last message came, in milliseconds since 1970; null if none did. */
      readonly since: number | null;
    }
  /** The coordinator wants a key, or another one. */
  | { readonly state: 'locked'; readonly why: string; readonly status: number };
