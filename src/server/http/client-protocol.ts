import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Access, SqlDatabase } from '../sql.ts';

/** A database as one client may use it. */
export type AdmittedDatabase = {
  readonly database: SqlDatabase;
  readonly access: Access;
  /** Id of the token; empty when none was shown. What a client keeps between two requests is of one identity. */
  readonly identity: string;
};

export type ProtocolRequest = AdmittedDatabase & {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Within the database: `/v2/pipeline`. */
  readonly path: string;
};

/** Somebody wants a WebSocket. */
export type ProtocolUpgrade = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly database: SqlDatabase;
  /** What a client may do that shows this token in its greeting (null: none there); null when it may do nothing. */
  readonly authorize: (secret: string | null) => Omit<AdmittedDatabase, 'database'> | null;
};

/**
 * The protocol that clients speak. It bounds what it reads and keeps, ends its work when a client is gone, and answers
 * failures itself. Disposing closes what clients have open.
 */
export interface ClientProtocol extends AsyncDisposable {
  /** Whether `/v2`, `/v3-protobuf` or the like is spoken: 200 or 404. Clients ask before they show a token. */
  answerVersionCheck(request: IncomingMessage, response: ServerResponse, path: string): void;
  answer(request: ProtocolRequest): Promise<void>;
  upgrade(upgrade: ProtocolUpgrade): void;
}
