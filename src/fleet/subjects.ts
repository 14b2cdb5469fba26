/** Names on the bus, by fleet. Actors have names of their own (`src/actors`). */
export interface FleetSubjects {
  readonly announce: string;
  readonly leave: string;
  /** Tells a worker that it speaks as an incarnation which is over for the one who tells. */
  readonly stale: string;
  readonly coordinator: string;
  /** Asks everybody to announce itself now. */
  readonly hello: string;
  holdings(worker: string): string;
}

/** `namespace` is one token of letters, digits, `-` and `_`. */
export function fleetSubjects(namespace: string): FleetSubjects {
  return {
    announce: `${namespace}.announce`,
    leave: `${namespace}.leave`,
    stale: `${namespace}.stale`,
    coordinator: `${namespace}.coordinator`,
    hello: `${namespace}.hello`,
    holdings: (worker) => `${namespace}.holdings.${worker}`,
  };
}
