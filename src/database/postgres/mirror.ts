import { SpeilError } from '../../core/error.ts';
import type { SourcePosition } from '../../core/position.ts';
import type { TableName, TableSchema } from '../../core/table.ts';
import type {
  AlterStep,
  MirrorDatabase,
  MirroredTable,
  MirrorHolder,
  MirrorTransaction,
  WriteTarget,
} from '../mirror-database.ts';
import type { MissingPrivilege } from '../source-database.ts';
import { PostgresConnection, type PostgresLocation } from './connection.ts';
import { type MetadataTable, readHeldHistories, readMetadataRows, readTenants } from './metadata.ts';
import { alterSql, createTableSql, type MirrorDialect } from './mirror-tables.ts';
import { bareType, PostgresMirrorTransaction } from './mirror-transaction.ts';
import { ident, literal, qualified } from './sql.ts';

type MirrorOptions = { readonly tenant: string; readonly readOnly?: boolean };

/** From this version on a scale may be negative or larger than the precision. */
const ANY_SCALE_VERSION = 150000;

function hasUnusualScale(type: string): boolean {
  const [, precision, scale] = /^numeric\((\d+),(-?\d+)\)/.exec(type) ?? [];
  return Number(scale) < 0 || Number(scale) > Number(precision);
}

/** Memory for building keys after a copy; within what a small server has to spare for one session. */
const KEY_BUILD_MEMORY = '128MB';

export async function openPostgresMirror(location: PostgresLocation, options: MirrorOptions): Promise<MirrorDatabase> {
  const connection = await openConnection(location, options.tenant);
  return new PostgresMirror(location, connection, options.tenant);
}

async function openConnection(location: PostgresLocation, tenant: string): Promise<PostgresConnection> {
  const connection = await PostgresConnection.open(location, `speil mirror ${tenant}`);
  await connection.query(`SET maintenance_work_mem = '${KEY_BUILD_MEMORY}'`).catch(() => undefined);
  return connection;
}

class PostgresMirror implements MirrorDatabase {
  readonly display: string;
  readonly instance: string;
  readonly #location: PostgresLocation;
  readonly #tenant: string;
  #connection: PostgresConnection;
  #holder: MirrorHolder | null = null;
  readonly #types = new Map<string, boolean>();
  #metadata: MetadataTable;

  constructor(location: PostgresLocation, connection: PostgresConnection, tenant: string) {
    this.display = location.display;
    this.instance = connection.instance;
    this.#location = location;
    this.#connection = connection;
    this.#tenant = tenant;
    this.#metadata = { name: this.#metadataTable(), isKnown: false };
  }

  get isUsable(): boolean {
    return this.#connection.isUsable;
  }

  async sizeBytes(): Promise<number> {
    const connection = await this.#session();
    const { bytes } = await connection.one<{ bytes: string }>(
      'SELECT pg_database_size(current_database())::text AS bytes',
    );
    return Number(bytes);
  }

  async tenants(): Promise<readonly string[]> {
    const connection = await this.#session();
    return readTenants(connection);
  }

  /** An advisory lock of the very session that writes: both are lost together. */
  async hold(holder: MirrorHolder): Promise<AsyncDisposable> {
    this.#holder = holder;
    await lockMirror(await this.#session(), this.#tenant, holder);
    const release = async () => {
      this.#holder = null;
      if (this.#connection.isUsable) {
        await this.#connection.query('SELECT pg_advisory_unlock_all()').catch(() => undefined);
      }
    };
    return { [Symbol.asyncDispose]: release };
  }

  async check(): Promise<readonly MissingPrivilege[]> {
    const connection = await this.#session();
    const row = await connection.one<{
      standby: boolean;
      create: boolean;
      temp: boolean;
      schemas: boolean;
      me: string;
      database: string;
    }>(
      `SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS standby, current_user AS me, current_database() AS database,
         coalesce(has_schema_privilege(to_regnamespace($1), 'CREATE'), false) AS create,
         has_database_privilege(current_database(), 'TEMP') AS temp,
         has_database_privilege(current_database(), 'CREATE') AS schemas`,
      [ident(connection.defaultSchema)],
    );
    const missing: MissingPrivilege[] = [];
    if (row.standby)
      missing.push({ what: 'the mirror is read-only', grant: 'name the primary server', required: true });
    if (!row.create) {
      const grant = `GRANT CREATE ON SCHEMA ${ident(connection.defaultSchema)} TO ${ident(row.me)};`;
      missing.push({ what: `CREATE on schema ${connection.defaultSchema} of the mirror`, grant, required: true });
    }
    if (!row.schemas) {
      const grant = `GRANT CREATE ON DATABASE ${ident(row.database)} TO ${ident(row.me)};`;
      missing.push({
        what: 'CREATE on the mirror database, for tables of other schemas than public',
        grant,
        required: false,
      });
    }
    if (!row.temp) {
      const grant = `GRANT TEMP ON DATABASE ${ident(row.database)} TO ${ident(row.me)};`;
      missing.push({ what: 'TEMP on the mirror database', grant, required: true });
    }
    return missing;
  }

  describeCreate(target: WriteTarget): readonly string[] {
    return [createTableSql(target, this.#dialect(), { defaults: true, key: true })];
  }

  describeAlter(target: WriteTarget, step: AlterStep): readonly string[] {
    return alterSql(target, step, this.#dialect());
  }

  describeForms(schema: TableSchema): readonly string[] {
    return schema.columns
      .filter((column) => column.declaredType.toLowerCase() !== column.type)
      .map(
        (column) =>
          `${column.name}: ${column.declaredType === '' ? 'no type' : column.declaredType} becomes ${column.type}`,
      );
  }

  async heldHistories(): Promise<readonly SourcePosition[]> {
    return readHeldHistories(await this.#session(), this.#metadata.name);
  }

  async readMetadata(): Promise<readonly MirroredTable[]> {
    const connection = await this.#session();
    return readMetadataRows(connection, { name: this.#metadata.name, isKnown: false });
  }

  async transaction<T>(options: { relaxed: boolean }, work: (tx: MirrorTransaction) => Promise<T>): Promise<T> {
    const connection = await this.#session();
    connection.begin(options.relaxed ? '; SET LOCAL synchronous_commit = off' : '');
    try {
      const tx = new PostgresMirrorTransaction(connection, this.#dialect(), {
        metadataTable: this.#metadata,
        types: this.#types,
      });
      const result = await work(tx);
      await connection.commit();
      return result;
    } catch (error) {
      if (connection.isUsable) await connection.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }

  #metadataTable(): string {
    return `${ident(this.#connection.defaultSchema)}.${ident(`${this.#tenant}_mirroring`)}`;
  }

  #dialect(): MirrorDialect {
    return {
      qualify: (table: TableName) => qualified(table, this.#connection.defaultSchema),
      hasType: (type) =>
        (this.#types.get(bareType(type)) ?? true) &&
        (this.#connection.serverVersion >= ANY_SCALE_VERSION || !hasUnusualScale(type)),
    };
  }

  /** The session, made anew when it was lost; then the mirror has to be held anew too. */
  async #session(): Promise<PostgresConnection> {
    if (this.#connection.isUsable) return this.#connection;
    await this.#connection[Symbol.asyncDispose]();
    const connection = await openConnection(this.#location, this.#tenant);
    try {
      if (this.#holder !== null) await lockMirror(connection, this.#tenant, this.#holder);
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
    this.#connection = connection;
    this.#metadata = { name: this.#metadataTable(), isKnown: false };
    return connection;
  }
}

async function lockMirror(connection: PostgresConnection, tenant: string, holder: MirrorHolder): Promise<void> {
  const key = literal(`speil mirror ${tenant}`);
  const name = `speil mirror ${tenant}, process ${holder.pid} on ${holder.host} since ${holder.since}`.slice(0, 63);
  connection.post(`SET application_name = ${literal(name)}`);
  const { held } = await connection.one<{ held: boolean }>(
    `SELECT pg_try_advisory_lock(hashtextextended(${key}, 0)) AS held`,
  );
  if (held) return;
  const [other] = await connection.query<{ name: string; address: string }>(
    `SELECT a.application_name AS name, coalesce(host(a.client_addr), 'local') AS address FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended(${key}, 0)`,
  );
  const who = other === undefined ? 'another session' : `${other.name} (from ${other.address})`;
  throw new SpeilError('MIRROR_BUSY', `the mirror ${connection.display} is held by another task: ${who}`, {
    hint: 'Stop that task, or wait until it ends. `speil status` shows how far it is.',
    recovery: 'retry',
  });
}
