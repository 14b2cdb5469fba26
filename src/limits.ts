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
/** Control points of the smallest and of the largest worker. */
export const RING_POINTS_FLOOR = 8;
export const RING_POINTS_CEILING = 2560;

/** Largest body of an HTTP request. */
export const HTTP_BODY_BYTES = 8 * MiB;
/** A longer one is read so far, and thrown away, so that its sender gets to see the refusal. */
export const HTTP_DISCARD_BYTES = 64 * MiB;
/** Connections of clients that a coordinator accepts. */
export const HTTP_CONNECTIONS = 16_384;
/** Until a request has come in whole. */
export const HTTP_REQUEST_TIMEOUT_MS = 60_000;
/** A client that reads nothing of its answer for so long is given up; one that is longer than a part is handed to its socket part by part. */
export const HTTP_STALL_TIMEOUT_MS = 120_000;
export const HTTP_PART_BYTES = 64 * KiB;
/** `shoal health` waits so long for an answer. */
export const HEALTH_ANSWER_MS = 4_000;
/** Answers that run when the coordinator is told to stop have so long to end. */
export const HTTP_CLOSE_GRACE_MS = 8_000;
/** After that they end with an error, for which their clients have so long to take it. */
export const HTTP_CLOSE_ERROR_MS = 500;
/** What `retry-after` says when a queue is full or no worker is there. */
export const RETRY_AFTER_S = 1;
/** Names that a client gives: a model, a tenant's salt, a user. */
export const CLIENT_NAME_CHARS = 256;
/** A tenant's salt: the name that a client gave, and what binds it to the client's key. */
export const SALT_CHARS = 2 * CLIENT_NAME_CHARS;
/** Token ids to turn into text in one request. */
export const DETOKENIZE_TOKENS = 262_144;
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
/** Log-probabilities in one answer: over all choices, a token's own and its alternatives', those of an echoed prompt among them; */
export const ANSWER_LOGPROBS = 512 * 1024;
/** and those that a coordinator holds for answers that were not taken yet. */
export const COORDINATOR_LOGPROBS = 4 * ANSWER_LOGPROBS;
/** Tokens of a prompt, whatever the model's context: they go to a worker in one message, with a key for each block. */
export const PROMPT_TOKENS = 192 * 1024;
/** Messages in a chat request. */
export const CHAT_MESSAGES = 4096;
/** Requests that a coordinator has accepted and not yet answered. */
export const COORDINATOR_REQUESTS = 4096;
/** Workers on which one request is tried before the client is told. */
export const REQUEST_ATTEMPTS = 4;

/** Requests whose runs failed one after another, after which a worker gives up and has to be started anew. */
export const ENGINE_FAILURES = 8;
/** Requests that wait in a worker for a sequence slot. */
export const ENGINE_WAITING = 512;
/** Tokens of a prompt that one run of the graph takes. */
export const PREFILL_CHUNK_TOKENS = 256;
/** Tokens in one event of an answer: with the log-probabilities of all of them, it has to fit one message. */
export const EVENT_TOKENS = 512;
/** Logits of one run where those of the prompt are wanted, or where the graph makes all of them; the chunk is made to fit. */
export const PROMPT_LOGITS_BYTES = 64 * MiB;
/** Sequences beyond the free slots for which prefixes are brought while they wait. What is brought is pinned. */
export const PREPARE_AHEAD_SEQUENCES = 8;

/** Later sequences that a worker begins before one whose prefix is still being brought; then they wait for it. */
export const PREFIX_OVERTAKERS = 32;

/** A packed value on the wire, of whatever plane, and how deep its arrays and maps may nest. */
export const WIRE_VALUE_BYTES = 64 * MiB;
export const WIRE_VALUE_DEPTH = 32;

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
/** A block that takes so long to be had is not pushed: nothing moves meanwhile. */
export const PEER_LEND_MS = 5_000;
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

/** Messages that wait in an actor's mailbox. */
export const MAILBOX_MESSAGES = 1024;
/** Calls that one node has in flight towards others. */
export const CALLS_IN_FLIGHT = 8192;
/** Items of a stream that may be on their way before the reader has acknowledged any. */
export const STREAM_WINDOW_ITEMS = 256;
/** The same in bytes, and the bytes of items that are put into one message where several are ready at once. */
export const STREAM_WINDOW_BYTES = 16 * MiB;
export const STREAM_BATCH_BYTES = 32 * KiB;
/** An open call that is quiet says that it is alive this often; after what silence it counts as lost. */
export const CALL_HEARTBEAT_MS = 1_000;
export const CALL_SILENCE_MS = 5_000;
/** Calls that a node remembers after their end, so that a message delivered twice is handled once. */
export const CALLS_REMEMBERED = 16_384;
/** Incarnations known to be gone that a node remembers, so that a call to one fails at once. */
export const GONE_NODES_REMEMBERED = 4_096;
/** Name of an actor, a node, a method. */
export const ACTOR_NAME_CHARS = 128;
/** Payload of one message on the bus. NATS refuses more than 1 MiB unless told otherwise. */
export const BUS_MESSAGE_BYTES = 960 * KiB;
/** Bytes published that the server has not read yet. */
export const BUS_PENDING_BYTES = 64 * MiB;
/** How long to wait before trying a lost server again: the first time, and at most. */
export const BUS_RECONNECT_MS = 100;
export const BUS_RECONNECT_CEILING_MS = 2_000;
/** A server that does not answer two pings in a row is lost: it is, before those who are heard by it count as silent (`CALL_SILENCE_MS`). */
export const BUS_PING_INTERVAL_MS = 1_000;
export const BUS_CONNECT_TIMEOUT_MS = 5_000;
/** A bucket of values that all of a fleet must see alike, and how long one question to it may take. */
export const KEY_VALUE_BYTES = 64 * KiB;
export const KEY_VALUE_TIMEOUT_MS = 2_000;
/** Those who make it at the same moment may get in each other's way: so often it is tried, with one such pause after the first try, two after the next, ... */
export const KEY_VALUE_ATTEMPTS = 5;
export const KEY_VALUE_PAUSE_MS = 10;

/** A release of nats-server that is fetched: its size, how long connecting, and all of it may take. */
export const NATS_DOWNLOAD_BYTES = 64 * MiB;
export const NATS_CONNECT_TIMEOUT_MS = 5_000;
export const NATS_DOWNLOAD_TIMEOUT_MS = 120_000;
/** How long one run of apt-get or dpkg-deb may take. */
export const NATS_PACKAGE_TIMEOUT_MS = 180_000;
/** What the embedded server keeps for JetStream, in memory and on disk, and how long it may take to start and to stop. */
export const NATS_STORE_MEMORY_BYTES = 64 * MiB;
export const NATS_STORE_FILE_BYTES = 512 * MiB;
export const NATS_START_TIMEOUT_MS = 15_000;
export const NATS_STOP_TIMEOUT_MS = 5_000;

/** Blocks that wait to be pushed to their homes. The oldest is dropped first: a copy is lost, never an answer. */
export const REPLICATION_QUEUE_BLOCKS = 8192;
/** Fresh blocks that are sorted by home at a time. */
export const REPLICATION_BATCH_BLOCKS = 64;
/** Tries to copy a block, and the pause before each further one. */
export const REPLICATION_ATTEMPTS = 4;
export const REPLICATION_PAUSE_MS = 500;
/** Homes that are pushed to at a time, so that a slow one does not hold up the others, and transfers do not crowd out requests. */
export const REPLICATION_PUSHES = 2;
/** After a change of the ring, when those who do not give the copies make sure that they are there. */
export const REPLICATION_CHECK_MS = 5_000;
/** By then a new home has its copies, unless who was to give them was lost; and as many changes of the ring are remembered meanwhile. */
export const REPLICATION_SETTLE_MS = 60_000;
export const REPLICATION_PAST_RINGS = 16;
/** Why a worker runs on its device, in words. */
export const DEVICE_REASON_CHARS = 512;
/** Workers in a fleet. */
export const FLEET_WORKERS = 1024;
/** Coordinators of a fleet that are listed. */
export const FLEET_COORDINATORS = 256;
/** Keys of a worker that a coordinator keeps in its index. */
export const INDEX_KEYS_PER_WORKER = 1_000_000;

/** Membership: how often a worker announces itself, after what silence it is suspect, and dead without a probe's answer. */
export const ANNOUNCE_INTERVAL_MS = 400;
export const SUSPECT_AFTER_MS = 1_500;
export const PROBE_TIMEOUT_MS = 500;
/** How long a worker whose connection closed, and whom no probe reaches, has to prove on the bus that it lives. */
export const LAST_WORD_MS = 800;
/** Of a fleet that is not heard within two announcements' time, and some more for those who have much to do, nobody lives. */
export const LISTEN_FOR_MEMBERS_MS = 2 * ANNOUNCE_INTERVAL_MS + 200;
/** After the bus came back: how long nobody is blamed for silence, or for not listening yet. Longer than the pauses before trying it again. */
export const BUS_GRACE_MS = 3_000;
/** How long a request waits for a bus that is lost, before it is told so. */
export const BUS_WAIT_MS = 15_000;
/** How long a dead member is remembered, so that its old incarnation stays refused. */
export const FORGET_AFTER_MS = 600_000;

/** Options: workers that `shoal up` starts, homes of a block, sequences of a worker, tokens of a sequence, keys of clients. */
export const LOCAL_WORKERS = 64;
export const REPLICAS = 16;
export const SEQUENCES = 256;
export const CONTEXT_TOKENS = PROMPT_TOKENS;
export const API_KEYS = 1024;
/** A file that holds a secret or keys. */
export const SECRET_FILE_BYTES = 1 * MiB;

/** Processes of one machine: how long one may take until it is ready, and to end in good order before it is killed. */
export const PROCESS_READY_MS = 120_000;
export const PROCESS_STOP_MS = 10_000;
/** The same for a process whose parent is gone. */
export const ORPHAN_STOP_MS = 3_000;
/** A second Ctrl-C means "at once"; within this time after the first it is the same one, which npm hands on once more. */
export const SAME_INTERRUPT_MS = 750;
/** Last output of a child that is kept, to be shown if it fails. */
export const CHILD_OUTPUT_TAIL_BYTES = 16 * KiB;

/** Restarts of a crashed actor or process within the window before the supervisor gives up. */
export const RESTARTS = 8;
export const RESTART_WINDOW_MS = 60_000;
export const RESTART_BACKOFF_MS = 200;
export const RESTART_BACKOFF_CEILING_MS = 10_000;

/** JSON files of a model folder; the largest tokenizers have some 35 MB. */
export const MODEL_JSON_BYTES = 128 * MiB;
/** Weights of a made-up model that are kept inside its ONNX file; more of them go to a file beside it. */
export const SYNTH_INLINE_BYTES = 1024 * MiB;

/** A request whose prefill has not ended by then is no longer expected to leave blocks. */
export const PROMISE_TIMEOUT_MS = 120_000;
/** A worker gives its full account of blocks within this time. */
export const HOLDINGS_TIMEOUT_MS = 10_000;
/** A worker that is told to go finishes what runs within this time. */
export const DRAIN_TIMEOUT_MS = 5_000;
/** And hands its blocks to their next homes within this time. */
export const HAND_OVER_TIMEOUT_MS = 3_000;
/** An order to a worker (drain, reset) is answered within this time. */
export const CONTROL_TIMEOUT_MS = 5_000;

/** Axes of a tensor. */
export const TENSOR_AXES = 32;
/** Memory for blocks is taken from a device in slabs of about this size, as long as the budget lasts. */
export const SLAB_BYTES = 256 * MiB;
/**
 * Of the host, it is only reserved at first, and takes up no memory until it is used. So slabs are as large as one view on Node 20 may show by
 * half: the collector counts each as memory of its own, and goes through the whole heap whenever there is much more of that.
 */
export const HOST_SLAB_BYTES = 2048 * MiB;
/** Memory of blocks that is had from the system before it is needed. */
export const COMMIT_AHEAD_BYTES = 64 * MiB;
/** So long after some of it was used up, */
export const COMMIT_DELAY_MS = 200;
/** in steps of so much. */
export const COMMIT_STEP_BYTES = 4 * MiB;
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
/** Blocks of lower tiers that are read at a time for one prompt. */
export const PROMOTIONS_AT_A_TIME = 4;
/** Blocks of which a worker remembers that nobody is to ask for them before they are computed. */
export const CONTENDED_KEYS = 4_096;
/** So long nothing is written to a disk that refused something. */
export const DISK_PAUSE_MS = 30_000;
/** Files that the disk does not let go of, after which no others are tried until the next change. */
export const DISK_REMOVALS_FAILED = 4;
/** A worker that goes has so long to write to disk what is not there yet. */
export const FLUSH_TIMEOUT_MS = 3_000;
