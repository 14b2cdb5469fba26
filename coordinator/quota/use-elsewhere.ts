import type { SubjectUsage } from '../../src/protocol/usage.js';
import type { Moment } from './quota.js';

/** Limit on the subjects with kept reports; the least recently reported go first. */
const SUBJECTS = 16_384;

interface Report {
  readonly from: string;
  readonly usage: SubjectUsage;
  readonly at: Moment;
}

/** The last reports of other coordinators on subjects that have not come to this one: it does not know their limits yet. */
export class UseElsewhere {
  private readonly reports = new Map<string, Map<string, Report>>();

  add(from: string, usage: SubjectUsage, at: Moment): void {
    const { subject } = usage;
    const ofSubject = this.reports.get(subject) ?? new Map<string, Report>();
    this.reports.delete(subject);
    this.reports.set(subject, ofSubject);
    ofSubject.delete(from);
    ofSubject.set(from, { from, usage, at });
    if (this.reports.size > SUBJECTS) this.reports.delete(this.reports.keys().next().value!);
  }

  /** Removes and returns the reports on a subject, oldest first. */
  take(subject: string): Report[] {
    const ofSubject = this.reports.get(subject);
    this.reports.delete(subject);
    return [...(ofSubject?.values() ?? [])];
  }
}
