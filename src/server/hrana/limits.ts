/** Requests of one pipeline: a client that collects more does better with a batch. */
export const PIPELINE_REQUESTS_MAX = 10_000;

/** Steps of one batch. Migrations and bulk loads come as one; beyond this they are a mistake or an attack. */
export const BATCH_STEPS_MAX = 100_000;

/** Conditions within conditions. Clients write two or three; deeper ones would only exhaust the stack. */
export const CONDITION_DEPTH_MAX = 64;

/** SQL texts that a stream (HTTP) or a connection (WebSocket) has stored; clients keep 30 and 100 of them. */
export const STORED_TEXTS_MAX = 256;

/** Characters of all of them together. */
export const STORED_CHARS_MAX = 4 * 1024 * 1024;

/** A request's body, or a message over WebSocket: a blob of 90 MB fits, in base64. */
export const REQUEST_BYTES_MAX = 128 * 1024 * 1024;

/** Bodies that are being received, of all requests together. */
export const BODIES_BYTES_MAX = 512 * 1024 * 1024;

/** An answer: a blob of 180 MB fits. More rows than this are what cursors are for. JavaScript's strings end at 512 Mi. */
export const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/** Answers that their clients have not taken yet, of all clients together: four of the largest. */
export const ANSWERS_BYTES_MAX = 1024 * 1024 * 1024;

/** Answers that are no larger are given also when others fill the memory for answers: 4,096 connections take 256 MB with them. */
export const SMALL_ANSWER_BYTES = 64 * 1024;

/** Streams kept by baton are closed when nobody asks for them so long; other servers of this protocol do the same. */
export const IDLE_MS = 10_000;

/** What a cursor hands to the socket at once: large enough to spare system calls, small enough to begin early. */
export const CURSOR_CHUNK_BYTES = 64 * 1024;

/** Entries of one `fetch_cursor` end after this many bytes, whatever count was asked for. */
export const FETCH_BYTES_MAX = 1024 * 1024;

/** A reader that takes nothing for so long is gone: it would hold its stream and its answers for ever. */
export const STALLED_MS = 60_000;

/** Of one WebSocket connection. */
export const STREAMS_PER_CONNECTION_MAX = 256;

/** Requests of one WebSocket connection that are not answered yet; beyond it nothing more is read. */
export const REQUESTS_OPEN_MAX = 1_024;

/** Answers of one WebSocket connection that its client has not taken; beyond it nothing more is read or begun. */
export const UNSENT_BYTES_MAX = 4 * 1024 * 1024;

/** Bytes that a new WebSocket connection may send before it has said who it is. */
export const HELLO_BYTES_MAX = 256 * 1024;

/** How often WebSocket connections are asked for a sign of life. Hello has to come between two beats. */
export const BEAT_MS = 10_000;
