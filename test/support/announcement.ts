import type { Announcement } from '../../src/core/member.js';

export const FINGERPRINT = 'f'.repeat(64);

/** What a worker that serves says of itself. */
export function announcement(id: string, over: Partial<Announcement> = {}): Announcement {
  return {
    id,
    generation: 0,
    incarnation: '0001',
    refutation: 0,
    state: 'serving',
    pid: 1,
    host: 'host',
    device: 'cpu',
    deviceReason: 'cpu was asked for',
    contextReason: '--context',
    trial: null,
    address: { hostId: 'here', unixPath: `/nowhere/${id}.sock`, tcpHost: null, tcpPort: null },
    fingerprint: FINGERPRINT,
    budget: { device: 1_000_000, host: 0 },
    bytes: { device: 0, host: 0 },
    blocks: 0,
    blockBytes: 128,
    running: 0,
    waiting: 0,
    queuedTokens: 0,
    capacity: { contextTokens: 4096, sequences: 8, waiting: 256 },
    hitRate: 0,
    rates: { computeMsPerToken: null, decodeMsPerStep: null, fetchBytesPerMs: null },
    computeAgeMs: null,
    disk: 'none',
    holdingsSeq: 0,
    ...over,
  };
}
