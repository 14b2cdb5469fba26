/**
 * The bounds that several files share, each with one name and its unit. A bound of one file stands in that file.
 * A bound that a user may change is an option too (`src/config/options.ts`); the value here is its ceiling or default.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** Tokens in a block of K/V: the unit in which prefixes are named, kept and moved. */
export const BLOCK_TOKENS = 64;
/** Consecutive blocks placed together on the ring. */
export const SEGMENT_BLOCKS = 8;

/** An answer that is longer than a part is handed to its socket part by part, so that a client's progress can be seen. */
export const HTTP_PART_BYTES = 64 * KiB;
/** Names that a client gives: a model, a tenant's salt, a user. */
export const CLIENT_NAME_CHARS = 256;
/** Value of `n`, and choices in one request over all its prompts. */
export const CHOICES_PER_REQUEST = 128;
/** Stop token ids in a request. */
export const STOP_TOKEN_IDS = 256;
/** Entries of `logit_bias`. */
export const LOGIT_BIAS_ENTRIES = 1024;
/** Most likely alternatives that `logprobs` may ask for. */
export const LOGPROBS = 20;
/** Tokens of a prompt, whatever the model's context: they go to a worker in one message, with a key for each block. */
export const PROMPT_TOKENS = 192 * 1024;
/** Requests that a coordinator has accepted and not yet answered. */
export const COORDINATOR_REQUESTS = 4096;

/** Requests whose runs failed one after another, after which a worker gives up and has to be started anew. */
export const ENGINE_FAILURES = 8;
/** Tokens in one event of an answer: with the log-probabilities of all of them, it has to fit one message. */
export const EVENT_TOKENS = 512;

/** Header of a frame between peers. */
export const FRAME_HEADER_BYTES = 64 * KiB;
/** Payload of a frame between peers: one block of the largest model that is served. */
export const FRAME_PAYLOAD_BYTES = 256 * MiB;
/** A frame of a peer that has not yet proved that it knows the cluster secret. */
export const HANDSHAKE_FRAME_BYTES = 1 * KiB;
export const HANDSHAKE_TIMEOUT_MS = 2_000;
/** Largest read from a peer's socket, so that the bytes are still in the processor's cache when their digest is taken. */
export const PEER_READ_BYTES = 256 * KiB;
/** Size of the kernel's send buffer of a Unix socket between peers, where it can be set. */
export const PEER_SEND_BUFFER_BYTES = 1 * MiB;
/** A connection on which nothing moves for so long, though something is due, is closed. */
export const PEER_PROGRESS_TIMEOUT_MS = 10_000;
/** A block that takes longer than this to pin is not pushed: nothing moves on the connection meanwhile. */
export const PEER_PUSH_PIN_MS = 5_000;
/** A connection whose peer takes longer than this for the rest of a block that was given up is closed: that rest delays all later frames. */
export const PEER_DRAIN_MS = 1_000;
/** Blocks that one connection has given to its socket and that the kernel has not taken yet. */
export const PEER_BLOCKS_IN_SOCKET = 3;
/** Blocks in shared memory that a worker pins for one connection at a time. */
export const PEER_BLOCKS_PINNED = 64;
/** A peer that keeps blocks pinned for longer loses its connection. */
export const PEER_PIN_MS = 30_000;
/** Memory files of one peer that this process maps. */
export const PEER_MEMORY_REGIONS = 4096;
/** Pages of a peer's memory that were not read for so long are dropped from this process. */
export const PEER_MEMORY_IDLE_MS = 500;
/** Bytes copied out of a peer's memory at a time, so that they are in the processor's cache when their digest is taken. */
export const PEER_COPY_BYTES = 256 * KiB;
/** Blocks in one offer to a peer, for which it takes memory before they come. */
export const PEER_OFFER_BLOCKS = 16;
/** Keys in one request to a peer. */
export const PEER_KEYS_PER_REQUEST = 1024;
/** Connections that a worker accepts from peers, and requests in flight on each. */
export const PEER_CONNECTIONS = 1024;
export const PEER_REQUESTS_IN_FLIGHT = 64;

/** Calls that one node has in flight towards others. */
export const CALLS_IN_FLIGHT = 8192;
/** Items of a stream that may be on their way before the reader has acknowledged any. */
export const STREAM_WINDOW_ITEMS = 256;
/** An open call of which nothing is heard for so long counts as lost. */
export const CALL_SILENCE_MS = 5_000;
/** Name of an actor, a node, a method. */
export const ACTOR_NAME_CHARS = 128;
/** Payload of one message on the bus. NATS refuses more than 1 MiB unless told otherwise. */
export const BUS_MESSAGE_BYTES = 960 * KiB;

/** Why a worker runs on its device, in words. */
export const DEVICE_REASON_CHARS = 512;
/** Workers in a fleet. */
export const FLEET_WORKERS = 1024;
/** Coordinators of a fleet that are listed. */
export const FLEET_COORDINATORS = 256;

/** Membership: how often a worker announces itself, after what silence it is suspect, and dead without a probe's answer. */
export const ANNOUNCE_INTERVAL_MS = 400;
export const SUSPECT_AFTER_MS = 1_500;
export const PROBE_TIMEOUT_MS = 500;
/** After the bus came back: how long nobody is blamed for silence, or for not listening yet. Longer than the pauses before trying it again. */
export const BUS_GRACE_MS = 3_000;

/** Keys of clients. */
export const API_KEYS = 1024;

/** Processes of one machine: how long one may take until it is ready, and to end in good order before it is killed. */
export const PROCESS_READY_MS = 120_000;
export const PROCESS_STOP_MS = 10_000;

/** A worker gives its full account of blocks within this time. */
export const HOLDINGS_TIMEOUT_MS = 10_000;
/** An order to a worker (drain, reset) is answered within this time. */
export const CONTROL_TIMEOUT_MS = 5_000;

/** Bytes of K/V that are copied before other work of the event loop gets its turn: about a millisecond. */
export const COPY_TURN_BYTES = 8 * MiB;
/** Host memory for blocks that are on their way to a device that has memory of its own, and as much again for those that come from it or from a disk; */
export const STAGING_BYTES = 128 * MiB;
/** but for two blocks at least, */
export const STAGING_FLOOR_BLOCKS = 2;
/** and for no more than so many that come from there, */
export const STAGING_BLOCKS = 16;
/** and so many that go there. */
export const STAGING_IN_BLOCKS = 4 * PEER_BLOCKS_PINNED;
/** No more than this share of either is ever held for a disk to write it, however slow the disk is. */
export const STAGING_DISK_SHARE = 1 / 2;
/** Of the blocks that would be dropped next, this share of a tier has copies in the tier below, so that room is made at once; */
export const DEMOTE_AHEAD_SHARE = 1 / 8;
/** but not more of them than this, and not so many that it takes long to look for them. */
export const DEMOTE_AHEAD_BYTES = 256 * MiB;
export const DEMOTE_AHEAD_BLOCKS = 1024;
/** So long nothing is written to a disk that refused something. */
export const DISK_PAUSE_MS = 30_000;
/** Files that the disk does not let go of, after which no others are tried until the next change. */
export const DISK_REMOVALS_FAILED = 4;
