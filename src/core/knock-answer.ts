/**
 * What a connection shows of the process that listens at an address: it is `there` if its system accepts the connection, even while its code keeps its event
 * loop busy; it has `ended` if nobody listens; and nothing is known if no answer comes.
 */
export type KnockAnswer = 'there' | 'ended' | 'unknown';
