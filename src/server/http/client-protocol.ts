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

export type ProtocolUpgrade = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /**
   * What a client may use that shows this token (null: none, neither in the request's head nor in its greeting). Rejects
   * with `AUTHENTICATION_REFUSED`, `NOT_FOUND` and the failures of the database. `onRevoked` is called when that ends.
   */
  readonly admit: (secret: string | null, onRevoked: () => void) => Promise<AdmittedDatabase>;
};

/**
 * The protocol that clients speak. It bounds what it reads and keeps, ends its work when a client is gone, and answers
 * failures itself. Disposing closes what clients have open.
 */
export interface ClientProtocol extends AsyncDisposable {
  /** Whether `/v2`, `/v3-protobuf` or the like is spoken: 200 or 404. Clients ask before they show a token. */
  answerVersionCheck(response: ServerResponse, path: string): void;
  answer(request: ProtocolRequest): Promise<void>;
  upgrade(upgrade: ProtocolUpgrade): void;
}
