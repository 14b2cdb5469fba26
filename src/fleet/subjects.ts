import { subjectToken } from '../bus/subject.js';

/** The bus subjects of a fleet, except the subjects of actors (`src/actors/subjects`). */
export interface FleetSubjects {
  readonly announce: string;
  readonly leave: string;
  /** Tells a worker that a member refuses its announcements. */
  readonly refusal: string;
  readonly coordinator: string;
  /** Carries the coordinators' findings about prompts that crash workers. */
  readonly suspicion: string;
  /** Carries what keys and subjects with limits have used at each coordinator. */
  readonly usage: string;
  /** Carries what audits found, and the votes against makers of wrong blocks. */
  readonly audit: string;
  /** Asks all workers to announce themselves now. */
  readonly hello: string;
  holdings(worker: string): string;
  /** Messages of a process to itself, by which it learns whether the bus still carries its messages. */
  echo(id: string, incarnation: string): string;
}

/** `namespace` is one token of letters, digits, `-` and `_`. */
export function fleetSubjects(namespace: string): FleetSubjects {
  return {
    announce: `${namespace}.announce`,
    leave: `${namespace}.leave`,
    refusal: `${namespace}.refusal`,
    coordinator: `${namespace}.coordinator`,
    suspicion: `${namespace}.suspicion`,
    usage: `${namespace}.usage`,
    audit: `${namespace}.audit`,
    hello: `${namespace}.hello`,
    holdings: (worker) => `${namespace}.holdings.${worker}`,
    echo: (id, incarnation) => `${namespace}.echo.${subjectToken(id)}.${subjectToken(incarnation)}`,
  };
}

/** The bus subjects of the runtime: what its members announce of themselves, their leave, and the request to announce themselves now. */
export interface RuntimeSubjects {
  readonly announce: string;
  readonly leave: string;
  readonly hello: string;
}

export function runtimeSubjects(namespace: string): RuntimeSubjects {
  const of = (name: string) => `${namespace}.runtime.${name}`;
  return { announce: of('announce'), leave: of('leave'), hello: of('hello') };
}
