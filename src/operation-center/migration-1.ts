/** Instants are timestamps where people read them, and milliseconds since 1970 where the schedule computes with them. */
export const MIGRATION_1 = `
CREATE SCHEMA IF NOT EXISTS speil_center;

CREATE TABLE speil_center.migration (
  version integer PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE speil_center.settings (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  maintenance boolean NOT NULL DEFAULT false,
  quiet_hours jsonb,
  webhook text,
  webhook_secret text,
  key_check text
);
INSERT INTO speil_center.settings DEFAULT VALUES;

CREATE TABLE speil_center.last_event (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  id bigint NOT NULL DEFAULT 0
);
INSERT INTO speil_center.last_event DEFAULT VALUES;

CREATE TABLE speil_center.tenant (
  name text COLLATE "C" PRIMARY KEY,
  source text NOT NULL,
  source_display text NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  maintenance boolean NOT NULL DEFAULT false,
  preferences jsonb NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE speil_center.mirror (
  id text COLLATE "C" PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL REFERENCES speil_center.tenant ON DELETE CASCADE,
  application text COLLATE "C" NOT NULL,
  public_key text NOT NULL,
  transport jsonb NOT NULL,
  every_ms bigint NOT NULL,
  created_at timestamptz NOT NULL,
  runs bigint NOT NULL DEFAULT 0,
  UNIQUE (tenant, application)
);
CREATE INDEX mirror_application ON speil_center.mirror (application, tenant);

CREATE TABLE speil_center.schedule (
  mirror_id text COLLATE "C" PRIMARY KEY REFERENCES speil_center.mirror ON DELETE CASCADE,
  tenant text COLLATE "C" NOT NULL,
  due_at_ms bigint NOT NULL,
  failures_in_row integer NOT NULL DEFAULT 0,
  requested boolean NOT NULL DEFAULT false,
  resync_tables jsonb NOT NULL DEFAULT '[]',
  announced_skips jsonb NOT NULL DEFAULT '[]',
  copied boolean NOT NULL DEFAULT false,
  last_completed_at_ms bigint
);
CREATE INDEX schedule_due ON speil_center.schedule (copied, requested, due_at_ms, mirror_id);
CREATE INDEX schedule_tenant ON speil_center.schedule (tenant, copied, requested DESC, due_at_ms, mirror_id);

CREATE TABLE speil_center.alert (
  mirror_id text COLLATE "C" PRIMARY KEY REFERENCES speil_center.mirror ON DELETE CASCADE,
  failed_at_ms bigint,
  behind boolean NOT NULL
);

CREATE TABLE speil_center.run (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  tenant text COLLATE "C" NOT NULL,
  application text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  status text NOT NULL,
  trigger text NOT NULL,
  center text NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  bytes bigint NOT NULL DEFAULT 0,
  report jsonb,
  error jsonb,
  FOREIGN KEY (tenant, application) REFERENCES speil_center.mirror (tenant, application) ON DELETE CASCADE
);
CREATE INDEX run_mirror ON speil_center.run (tenant, application, number);
CREATE INDEX run_tenant ON speil_center.run (tenant, seq);
CREATE INDEX run_started ON speil_center.run (started_at);
CREATE INDEX run_running ON speil_center.run (tenant, application) WHERE status = 'running';

CREATE TABLE speil_center.event (
  id bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  kind text NOT NULL,
  tenant text COLLATE "C" REFERENCES speil_center.tenant ON DELETE CASCADE,
  application text,
  run_id text,
  message text NOT NULL,
  hint text
);
CREATE INDEX event_tenant ON speil_center.event (tenant, id);

CREATE TABLE speil_center.token (
  id text COLLATE "C" PRIMARY KEY,
  role text NOT NULL,
  tenant text COLLATE "C" REFERENCES speil_center.tenant ON DELETE CASCADE,
  hash text COLLATE "C" NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX token_tenant ON speil_center.token (tenant);
`;
