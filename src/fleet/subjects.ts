/** The bus subjects of a fleet. `src/actors/subjects` has those of actors. */
export interface FleetSubjects {
  readonly announce: string;
  readonly leave: string;
  /** Tells a worker that a member refuses its incarnation, which has ended. */
  readonly stale: string;
  readonly coordinator: string;
  /** Carries the coordinators' findings about prompts that crash workers. */
  readonly suspicion: string;
  /** Asks all workers to announce themselves now. */
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
    suspicion: `${namespace}.suspicion`,
    hello: `${namespace}.hello`,
    holdings: (worker) => `${namespace}.holdings.${worker}`,
  };
}
