/** The tables of a log, all of them only ever inserted into, and the functions over them: what each version of the schema adds. */
import { appendFunction } from "./append-function.ts";
import { treeFunctions } from "./tree-functions.ts";
import { retireFunction } from "./retire-function.ts";

/** The version that this program reads and writes. */
export const SCHEMA_VERSION = 1;

/** Where the log lies unless the user says otherwise. */
export const DEFAULT_SCHEMA = "stepgate";

/** How many tables the records are spread over, by sequence. */
const PARTITIONS = 4;

/** A name as SQL writes it, whatever stands in it. @throws TypeError for what PostgreSQL cannot name. */
export function quoted(name: string): string {
  if (name === "" || Buffer.byteLength(name) > 63 || name.includes("\0") || !name.isWellFormed())
    throw new TypeError("the name of a schema or role has 1 to 63 bytes, and no NUL among them");
  return `"${name.replaceAll('"', '""')}"`;
}

/** What brings a log of `version` (0 for none) up to {@link SCHEMA_VERSION}, as one script. */
export function additions(schema: string, version: number): string {
  const at = quoted(schema);
  const steps = [[tables(at), appendFunction(at), treeFunctions(at), retireFunction(at)]];
  return steps.slice(version).flat().join("\n");
}

/**
 * A record's `arrival` is the transaction that wrote it (below 2^48), under the era of its server in the higher bits, and
 * its `ordinal` the place within that transaction: an order that agrees with every sequence's own. A row without a line is
 * the tombstone of a retired sequence. Counters are found by digest, for an index entry must be short and their names need
 * not be. Every text that is compared is so byte by byte.
 */
function tables(at: string): string {
  const partitions = Array.from(
    { length: PARTITIONS },
    (_, remainder) =>
      `CREATE TABLE ${at}.record_${remainder} PARTITION OF ${at}.record FOR VALUES WITH (MODULUS ${PARTITIONS}, REMAINDER ${remainder});`,
  );
  return `
CREATE TABLE ${at}.version (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE ${at}.era (era integer PRIMARY KEY, system_identifier text NOT NULL);
CREATE TABLE ${at}.setting (name text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE ${at}.document (digest text COLLATE "C" PRIMARY KEY, text text NOT NULL);
CREATE TABLE ${at}.record (
  sequence_id text COLLATE "C" NOT NULL,
  seq bigint NOT NULL CHECK (seq >= 0),
  arrival bigint NOT NULL,
  ordinal integer NOT NULL,
  nonce text COLLATE "C",
  line text,
  hash text COLLATE "C",
  gate_id text,
  expires_ms bigint,
  closes text COLLATE "C",
  PRIMARY KEY (sequence_id, seq)
) PARTITION BY HASH (sequence_id);
${partitions.join("\n")}
CREATE UNIQUE INDEX burnt_nonce ON ${at}.record (sequence_id, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX arrival_order ON ${at}.record (arrival, ordinal);
CREATE TABLE ${at}.counter (
  id bytea NOT NULL,
  step bigint NOT NULL,
  name text NOT NULL,
  total numeric NOT NULL,
  at_ms bigint NOT NULL,
  until_ms bigint NOT NULL,
  PRIMARY KEY (id, step)
);
CREATE TABLE ${at}.leaf (
  place bigint PRIMARY KEY CHECK (place >= 0),
  sequence_id text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  hash bytea NOT NULL CHECK (length(hash) = 32),
  UNIQUE (sequence_id, seq)
);
CREATE TABLE ${at}.node (
  level integer NOT NULL CHECK (level > 0),
  place bigint NOT NULL CHECK (place >= 0),
  hash bytea NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, place)
);
CREATE TABLE ${at}.growth (size bigint PRIMARY KEY, floor bigint NOT NULL);
CREATE TABLE ${at}.open_floor (floor bigint PRIMARY KEY);
CREATE TABLE ${at}.open_allow (
  floor bigint NOT NULL,
  hash text COLLATE "C" NOT NULL,
  sequence_id text NOT NULL,
  gate_id text NOT NULL,
  expires_ms bigint NOT NULL,
  PRIMARY KEY (floor, hash)
);
CREATE FUNCTION ${at}.stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(current_setting('stepgate.retiring', true), '') = 'on' AND TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RAISE EXCEPTION '% is never changed, and only retire() removes from it', TG_TABLE_NAME;
END $$;
${["record", "leaf", "node"].map((table) => guards(at, table)).join("\n")}
`;
}

/** Against mistakes of the owner; the gates' own role has no right to either. */
function guards(at: string, table: string): string {
  return `
CREATE TRIGGER stands BEFORE UPDATE OR DELETE ON ${at}.${table} FOR EACH ROW EXECUTE FUNCTION ${at}.stands();
CREATE TRIGGER stays BEFORE TRUNCATE ON ${at}.${table} FOR EACH STATEMENT EXECUTE FUNCTION ${at}.stands();`;
}
