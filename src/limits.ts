/**
 * The bounds that several files share. A bound that one file uses is defined in that file. Each bound has one name, with its unit.
 * If a user can change a bound, `src/config/options.ts` has the option, and the value here is its ceiling or default.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** Tokens in one block of K/V, the unit in which prefixes are named, kept and transferred. */
export const BLOCK_TOKENS = 64;
/** Consecutive blocks in one segment, which the ring places together. */
export const SEGMENT_BLOCKS = 8;

/** Part size for long HTTP answers: each part is passed to the socket separately, so that a client's progress can be observed. */
export const HTTP_PART_BYTES = 64 * KiB;
/** Limit on the length of a name from a client: a model, a tenant's salt, a user. */
export const CLIENT_NAME_CHARS = 256;
/** Limit on `n`. */
export const CHOICES_PER_PROMPT = 128;
/** Limits on the prompts of one request, and on its choices over all prompts. */
export const PROMPTS_PER_REQUEST = 2048;
export const CHOICES_PER_REQUEST = 2048;
/** Limit on the stop token IDs of a request. */
export const STOP_TOKEN_IDS = 256;
/** Least `repetition_penalty`: logits that are divided by it stay finite. */
export const LEAST_REPETITION_PENALTY = 0.001;
/** Limit on the entries of `logit_bias`. */
export const LOGIT_BIAS_ENTRIES = 1024;
/** Limit on `allowed_token_ids`. */
export const ALLOWED_TOKEN_IDS = 4096;
/** Limit on the tokens of all `bad_words` of a request. */
export const BANNED_TOKENS = 2048;
/** Limit on `logprobs`: the most likely alternatives per token. */
export const LOGPROBS = 20;
/** Limit on the tokens of a prompt for any model: they travel to a worker in one message. */
export const PROMPT_TOKENS = 192 * 1024;
/** Limit on the requests that a coordinator has accepted and not answered yet. */
export const COORDINATOR_REQUESTS = 4096;

/** Default of the prompt tokens that one run of the graph takes. */
export const PREFILL_CHUNK_TOKENS = 256;
/** Different prompts in a row whose runs fail in ONNX Runtime before a worker exits, so that its supervisor restarts it. */
export const ENGINE_FAILURES = 8;
/** Limit on the tokens in one event of an answer, so that the event fits one message with the log-probabilities of all its tokens. */
export const EVENT_TOKENS = 512;
/** Tokens of one event of a request that shows nothing before its end. If its worker dies, as many may be computed again. */
export const BURST_TOKENS = 32;
/** The longest path of a Unix socket on Linux. */
export const SOCKET_PATH_BYTES = 107;

/** Limit on the header of a frame between peers. */
export const FRAME_HEADER_BYTES = 64 * KiB;
/** Limit on a frame from a peer that has not yet proved that it knows the cluster secret. */
export const HANDSHAKE_FRAME_BYTES = 1 * KiB;
/** Time limit for the handshake of a connection between peers. */
export const HANDSHAKE_TIMEOUT_MS = 2_000;
/** Time without progress, while data is due, after which a connection between peers is closed. */
export const PEER_PROGRESS_TIMEOUT_MS = 10_000;
/** Limit on the blocks that one connection has passed to its socket and the kernel has not accepted yet. */
export const PEER_BLOCKS_IN_SOCKET = 3;
/** Limit on the blocks in shared memory that a worker pins for one connection at a time. */
export const PEER_BLOCKS_PINNED = 64;
/** Limit on the blocks in one offer to a peer, which reserves memory for the ones it wants before they arrive. */
export const PEER_OFFER_BLOCKS = 16;
/** Limit on the keys in one request to a peer. */
export const PEER_KEYS_PER_REQUEST = 1024;
/** Limit on the requests in flight on one connection between peers. */
export const PEER_REQUESTS_IN_FLIGHT = 64;

/** Limit on the calls that one node has in flight to other nodes, and on those it serves. */
export const CALLS_IN_FLIGHT = 8192;
/** Window of a stream: the items that may be sent before the reader acknowledges any. */
export const STREAM_WINDOW_ITEMS = 256;
/** Silence after which an open call counts as lost. */
export const CALL_SILENCE_MS = 5_000;
/** Limit on the length of the name of an actor, a node or a method. */
export const ACTOR_NAME_CHARS = 128;
/** Limit on the payload of one message on the bus. By default NATS refuses more than 1 MiB. */
export const BUS_MESSAGE_BYTES = 960 * KiB;

/** Limit on the text in which a worker explains its choice of device. */
export const DEVICE_REASON_CHARS = 512;
/** Limit on the workers in a fleet. */
export const FLEET_WORKERS = 1024;
/** Limit on the coordinators of a fleet that are listed. */
export const FLEET_COORDINATORS = 256;

/** Interval at which a worker or coordinator announces itself. */
export const ANNOUNCE_INTERVAL_MS = 400;
/** Silence after which a worker is suspect. */
export const SUSPECT_AFTER_MS = 1_500;
/** Time limit for the answer to a probe of a worker. */
export const PROBE_TIMEOUT_MS = 500;
/** Time after the bus returns during which silence or a missing subscription is no evidence against a process. Exceeds the longest reconnect pause. */
export const BUS_GRACE_MS = 3_000;

/** Limit on the API keys of clients. */
export const API_KEYS = 1024;
/** Fewest characters of an API key: a shorter one can be guessed. */
export const API_KEY_CHARS = 16;

/** Time limit for a child process to become ready, after which it is killed. */
export const PROCESS_READY_MS = 120_000;
/** Time limit for a process to exit in good order, after which it is killed. */
export const PROCESS_STOP_MS = 10_000;

/** Time limit for a worker to send the snapshot of its holdings. */
export const HOLDINGS_TIMEOUT_MS = 10_000;
/** Time limit for a worker to answer a command: drain or reset. */
export const CONTROL_TIMEOUT_MS = 5_000;

/** Limit on the duration of a fault that an operator orders, in seconds. */
export const FAULT_SECONDS = 60;
/** Limit on the peers by which a worker tells how many of their blocks it refused. */
export const DAMAGING_PEERS = 64;

/** Bytes of K/V copied before the event loop runs other work: about one millisecond of copying. */
export const COPY_TURN_BYTES = 8 * MiB;
/** How long evidence against a prompt that crashes workers lasts, and how long such a prompt is refused. */
export const EVIDENCE_MS = 600_000;
