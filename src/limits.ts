/**
 * Every bound of shoal, each with one name and its unit. Nothing in shoal grows without one of these.
 * A bound that a user may change is an option too (`src/config/options.ts`); the value here is its ceiling or default.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** Tokens in a block of K/V: the unit in which prefixes are named, kept and moved. */
export const BLOCK_TOKENS = 64;
/** Consecutive blocks placed together on the ring. */
export const SEGMENT_BLOCKS = 8;
/** Control points of a worker of average memory on the ring. */
export const RING_POINTS = 160;

/** Largest body of an HTTP request. */
export const HTTP_BODY_BYTES = 8 * MiB;
/** Prompts in one completion request. */
export const PROMPTS_PER_REQUEST = 64;
/** Value of `n`, and choices in one request over all its prompts. */
export const CHOICES_PER_REQUEST = 128;
/** Stop strings in a request, and the length of each. */
export const STOP_STRINGS = 64;
export const STOP_STRING_CHARS = 256;
/** Stop token ids in a request. */
export const STOP_TOKEN_IDS = 256;
/** Entries of `logit_bias`. */
export const LOGIT_BIAS_ENTRIES = 1024;
/** Most likely alternatives that `logprobs` may ask for. */
export const LOGPROBS = 20;
/** Messages in a chat request. */
export const CHAT_MESSAGES = 4096;
/** Requests that a coordinator has accepted and not yet answered. */
export const COORDINATOR_REQUESTS = 4096;
/** Workers on which one request is tried before the client is told. */
export const REQUEST_ATTEMPTS = 4;

/** Requests that wait in a worker for a sequence slot. */
export const ENGINE_WAITING = 512;
/** Tokens of a prompt that one run of the graph takes. */
export const PREFILL_CHUNK_TOKENS = 256;

/** Header of a frame between peers. */
export const FRAME_HEADER_BYTES = 64 * KiB;
/** Payload of a frame between peers: one block of the largest model that is served. */
export const FRAME_PAYLOAD_BYTES = 256 * MiB;
/** A frame of a peer that has not yet proved that it knows the cluster secret. */
export const HANDSHAKE_FRAME_BYTES = 1 * KiB;
export const HANDSHAKE_TIMEOUT_MS = 2_000;
/** Keys in one request to a peer. */
export const PEER_KEYS_PER_REQUEST = 1024;
/** Connections that a worker accepts from peers, and requests in flight on each. */
export const PEER_CONNECTIONS = 1024;
export const PEER_REQUESTS_IN_FLIGHT = 64;

/** Messages that wait in an actor's mailbox. */
export const MAILBOX_MESSAGES = 1024;
/** Calls that one node has in flight towards others. */
export const CALLS_IN_FLIGHT = 8192;
/** Items of a stream that may be on their way before the reader has acknowledged any. */
export const STREAM_WINDOW_ITEMS = 256;
/** Payload of one message on the bus. NATS refuses more than 1 MiB unless told otherwise. */
export const BUS_MESSAGE_BYTES = 960 * KiB;

/** Blocks that wait to be pushed to their homes. The oldest is dropped first: a copy is lost, never an answer. */
export const REPLICATION_QUEUE_BLOCKS = 8192;
/** Workers in a fleet. */
export const FLEET_WORKERS = 1024;
/** Keys of a worker that a coordinator keeps in its index. */
export const INDEX_KEYS_PER_WORKER = 1_000_000;

/** Membership: how often a worker announces itself, after what silence it is suspect, and dead without a probe's answer. */
export const ANNOUNCE_INTERVAL_MS = 400;
export const SUSPECT_AFTER_MS = 1_500;
export const PROBE_TIMEOUT_MS = 500;
/** How long a dead member is remembered, so that its old incarnation stays refused. */
export const FORGET_AFTER_MS = 600_000;

/** Restarts of a crashed actor or process within the window before the supervisor gives up. */
export const RESTARTS = 8;
export const RESTART_WINDOW_MS = 60_000;
export const RESTART_BACKOFF_MS = 200;
export const RESTART_BACKOFF_CEILING_MS = 10_000;
