import { defineProtocol, tell } from '../actors/protocol.js';
import { AnnouncementMessage, LeaveMessage } from './announcement.js';
import { HoldingsDelta } from './holdings.js';
import { SuspicionMessage } from './suspicion.js';

/** The protocol of a coordinator's actor, which receives workers' messages over direct links where NATS does not carry them. */
export const CoordinatorProtocol = defineProtocol('coordinator', {
  announced: tell(AnnouncementMessage),
  left: tell(LeaveMessage),
  holdings: tell(HoldingsDelta),
  /** Another coordinator's message about prompts that crash workers. */
  suspicion: tell(SuspicionMessage),
});

/** Name of the coordinator's actor. */
export const COORDINATOR_ACTOR = 'coordinator';
