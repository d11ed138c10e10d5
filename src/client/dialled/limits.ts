/** Bodies travel in pieces of this size, so that many tenants share one connection and pings pass between them. */
export const CHUNK_BYTES = 256 * 1024;
/** The JSON of a frame: a call token has up to 4 KB. */
export const FRAME_JSON_BYTES_MAX = 16 * 1024;
/** The largest message that either side takes from the other. */
export const FRAME_BYTES_MAX = 64 + FRAME_JSON_BYTES_MAX + CHUNK_BYTES;
/** Bytes that wait in a socket before more are put there: two pieces, so that the line never idles. */
export const BUFFERED_BYTES_MAX = 2 * CHUNK_BYTES;

/** Calls of one connection that are not answered yet. As many tenants are served at the same time. */
export const CALLS_OPEN_MAX = 64;
/** Bodies of unanswered calls of one connection, unless a single one is larger: the client holds them in memory. */
export const CALLS_OPEN_BYTES_MAX = 64 * 1024 * 1024;
/** Calls that wait until others are answered. A task makes few at a time; more than this is a mistake somewhere. */
export const CALLS_WAITING_MAX = 1_000;
/** A client's bound on the body of a call, unless it says another. */
export const CALL_BYTES_MAX_DEFAULT = 128_000_000;
/** The largest answer, as in the remote client: that of the schema call, for 100,000 tables. */
export const ANSWER_BYTES_MAX = 64_000_000;

/** How long each side waits for the other during the handshake. */
export const HANDSHAKE_WAIT_MS = 10_000;
/** Connections that have not proved themselves yet. Each costs some 20 KB for as long as the handshake may take. */
export const UNPROVED_MAX = 500;
/** Connections of one application's key: processes that stand by for each other. */
export const CONNECTIONS_PER_KEY_MAX = 8;
/** Keys of clients that are there are looked up so often: one that was removed at the center is worth no more than this. */
export const KEYS_CHECK_MS = 60_000;

/** Each side pings the other this often. */
export const PING_INTERVAL_MS = 15_000;
/** After so many pings without a sign of life the connection is dead. */
export const PINGS_MISSED_MAX = 2;
/** How long a closing handshake may take before the socket is cut. */
export const CLOSE_WAIT_MS = 2_000;
/** A client that ends waits this long for calls that are being worked on. */
export const LEAVE_WAIT_MS = 10_000;

/** The first attempt after a loss follows at once; then the wait doubles from half a second to half a minute. */
export const REDIAL_DELAY_MS_MIN = 500;
export const REDIAL_DELAY_MS_MAX = 30_000;
/** A refusal does not pass by itself: somebody has to register a key or set a clock. */
export const REFUSED_DELAY_MS = 60_000;
/** A connection that ends sooner than this was none: the waits go on growing. */
export const STABLE_MS = 5_000;
