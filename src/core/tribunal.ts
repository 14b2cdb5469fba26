import { type Maker, makerName } from './maker.js';

/** Votes against makers of wrong blocks, and the verdicts that follow from them. */

/** Members that must hold a maker for one of wrong blocks before it is quarantined. */
const VOTERS_NEEDED = 2;
/** Limit on the makers with a case. The oldest case is dropped first. */
const MAKERS = 1024;
/** Limit on the recorded voters against one maker. */
const VOTERS = 16;

/** `distrusted`: by this process alone. */
export type MakerStanding = 'trusted' | 'distrusted' | 'quarantined';

interface Case {
  readonly maker: Maker;
  readonly voters: Set<string>;
  /** Whether this process has its own evidence. */
  own: boolean;
  /** Pardons so far: votes from before the last one do not count. */
  pardons: number;
}

/** A maker that is not trusted. */
export interface Accused {
  readonly maker: Maker;
  readonly standing: Exclude<MakerStanding, 'trusted'>;
  readonly voters: readonly string[];
}

/**
 * Counts each member once against a maker, so that no single member can quarantine another. The caller must check that a voter is a member.
 * Each method returns the maker's standing afterwards.
 */
export class Tribunal {
  private readonly cases = new Map<string, Case>();

  /** @param self the id of this process */
  constructor(private readonly self: string) {}

  /** A member votes against a maker, knowing of so many pardons of it. */
  vote(maker: Maker, voter: string, pardons: number): MakerStanding {
    if (voter === maker.id) return this.standingOf(maker);
    const found = this.caseOf(maker);
    if (pardons >= found.pardons && found.voters.size < VOTERS) found.voters.add(voter);
    return this.standingOf(maker);
  }

  /** This process has seen a wrong block from the maker's own hands. */
  witness(maker: Maker): MakerStanding {
    if (maker.id === this.self) return 'trusted';
    const found = this.caseOf(maker);
    found.own = true;
    found.voters.add(this.self);
    return this.standingOf(maker);
  }

  /** An operator pardons a maker, for the time that `pardons` counts. False if that pardon is known. */
  pardon(maker: Maker, pardons: number): boolean {
    const found = this.caseOf(maker);
    if (pardons <= found.pardons) return false;
    Object.assign(found, { pardons, own: false });
    found.voters.clear();
    return true;
  }

  pardonsOf(maker: Maker): number {
    return this.cases.get(makerName(maker))?.pardons ?? 0;
  }

  standingOf(maker: Maker): MakerStanding {
    const found = this.cases.get(makerName(maker));
    if (found === undefined) return 'trusted';
    if (found.voters.size >= VOTERS_NEEDED) return 'quarantined';
    return found.own ? 'distrusted' : 'trusted';
  }

  /** All makers that are not trusted. */
  accused(): Accused[] {
    return [...this.cases.values()].flatMap(({ maker, voters }) => {
      const standing = this.standingOf(maker);
      return standing === 'trusted' ? [] : [{ maker, standing, voters: [...voters] }];
    });
  }

  private caseOf(maker: Maker): Case {
    const name = makerName(maker);
    const known = this.cases.get(name);
    if (known) return known;
    if (this.cases.size >= MAKERS) this.cases.delete(this.cases.keys().next().value!);
    const opened: Case = { maker, voters: new Set(), own: false, pardons: 0 };
    this.cases.set(name, opened);
    return opened;
  }
}
