import { type ErrorCode, type Recovery, SpeilError } from '../../core/error.ts';

type Rule = { readonly code: ErrorCode; readonly recovery: Recovery; readonly hint: string };

const rule = (code: ErrorCode, recovery: Recovery, hint: string): Rule => ({ code, recovery, hint });

/** By SQLSTATE, or its class (first two characters). https://www.postgresql.org/docs/18/errcodes-appendix.html */
const BY_SQLSTATE: Readonly<Record<string, Rule>> = {
  '28P01': rule('AUTHENTICATION_REFUSED', 'operator', 'Check user and password; PGPASSWORD or ~/.pgpass also work.'),
  '28000': rule('AUTHENTICATION_REFUSED', 'operator', 'Check the user, and pg_hba.conf of the server.'),
  '3D000': rule('DATABASE_MISSING', 'operator', 'Check the name after the last / of the URL, or create the database.'),
  '42501': rule('PRIVILEGE_MISSING', 'operator', '`speil mirror` with --plan names the GRANT to type.'),
  '25006': rule('READ_ONLY', 'operator', 'Name the primary server: this one is a standby or read-only.'),
  '53100': rule('DISK_FULL', 'retry', 'Free space on the server of this database; the next cycle continues.'),
  '53300': rule('UNREACHABLE', 'retry', 'All connections of the server are taken; raise max_connections or wait.'),
  '57P03': rule('UNREACHABLE', 'retry', 'The server is starting or stopping; try again.'),
  '57P01': rule('CONNECTION_LOST', 'retry', 'The server closed the connection; it is tried again.'),
  '57P02': rule('CONNECTION_LOST', 'retry', 'The server crashed and recovers; it is tried again.'),
  '55P03': rule(
    'LOCK_TIMEOUT',
    'retry',
    'Another session holds the table; see pg_stat_activity. The next cycle tries again.',
  ),
  '40001': rule('TABLE_FAILED', 'retry', 'The next cycle tries again.'),
  '40P01': rule('LOCK_TIMEOUT', 'retry', 'The next cycle tries again.'),
  '42P07': rule(
    'NAME_TAKEN',
    'operator',
    'Rename or drop that object in the mirror, or skip the table (--skip-table).',
  ),
  '42710': rule('NAME_TAKEN', 'operator', 'Rename or drop that object, or skip the table (--skip-table).'),
  '2BP01': rule('DEPENDENT_OBJECT', 'operator', 'Drop or change the dependent object in the mirror.'),
  '42703': rule('SCHEMA_CHANGED', 'retry', 'The table was altered meanwhile; the next cycle reads its new schema.'),
  '42P01': rule('SCHEMA_CHANGED', 'retry', 'The table was dropped meanwhile; the next cycle reads the new schema.'),
  '08': rule('CONNECTION_LOST', 'retry', 'It is tried again.'),
  '22': rule(
    'VALUE_REFUSED',
    'operator',
    'See the value named; `speil resync` copies the table again after it is mended.',
  ),
  '23': rule(
    'KEY_VIOLATED',
    'operator',
    'An index or constraint that was added to the mirror does not fit the source’s rows.',
  ),
};

const BY_SOCKET_CODE: Readonly<Record<string, Rule>> = {
  ECONNREFUSED: rule('UNREACHABLE', 'retry', 'Is the server running, and are host and port right?'),
  ENOTFOUND: rule('UNREACHABLE', 'retry', 'Check the host name.'),
  EAI_AGAIN: rule('UNREACHABLE', 'retry', 'The host name could not be looked up; check the name and DNS.'),
  EHOSTUNREACH: rule('UNREACHABLE', 'retry', 'Check the network between here and the server.'),
  ENETUNREACH: rule('UNREACHABLE', 'retry', 'Check the network between here and the server.'),
  ETIMEDOUT: rule('UNREACHABLE', 'retry', 'No answer; check host, port and firewalls.'),
  ECONNRESET: rule('CONNECTION_LOST', 'retry', 'It is tried again.'),
  EPIPE: rule('CONNECTION_LOST', 'retry', 'It is tried again.'),
};

const TLS = rule('TLS_FAILED', 'operator', 'Set sslmode in the URL (disable, no-verify, verify-full) and sslrootcert.');

type DriverError = Error & {
  readonly code?: string;
  readonly detail?: string;
  readonly where?: string;
  readonly table?: string;
};

/** The driver's error as one that a person can act on. `doing` says what was tried: "cannot reach host:5432/db". */
export function postgresError(error: unknown, doing: string): SpeilError {
  if (error instanceof SpeilError) return error;
  const known = asDriverError(error);
  const found = findRule(known);
  return new SpeilError(found.code, `${doing}: ${describe(known)}`, {
    hint: found.hint,
    recovery: found.recovery,
    cause: error,
  });
}

function asDriverError(error: unknown): DriverError {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0] as DriverError;
  return error instanceof Error ? (error as DriverError) : new Error(String(error));
}

function findRule(error: DriverError): Rule {
  const code = error.code ?? '';
  const byCode =
    BY_SQLSTATE[code] ??
    BY_SOCKET_CODE[code] ??
    (/^[0-9A-Z]{5}$/.test(code) ? BY_SQLSTATE[code.slice(0, 2)] : undefined);
  return byCode ?? byMessage(`${code} ${error.message}`);
}

function byMessage(text: string): Rule {
  if (/connection terminated|connection ended|not queryable|connection error/i.test(text)) {
    return rule('CONNECTION_LOST', 'retry', 'It is tried again.');
  }
  if (/timeout expired|connect timeout/i.test(text))
    return rule('UNREACHABLE', 'retry', 'Check host, port and firewalls.');
  if (/ssl|tls|certificate|self[- ]signed|CERT_/i.test(text)) return TLS;
  if (/password|SASL/i.test(text)) {
    return rule('AUTHENTICATION_REFUSED', 'operator', 'Put the password into PGPASSWORD or ~/.pgpass.');
  }
  return rule('TABLE_FAILED', 'operator', 'The message is the server’s own.');
}

/** Values can stand in `detail` and `where`; they help more than they reveal, and never hold credentials. */
function describe(error: DriverError): string {
  const where = error.where?.split('\n').find((line) => line.startsWith('COPY '));
  return [error.message, error.detail, where].filter(Boolean).join('; ');
}
