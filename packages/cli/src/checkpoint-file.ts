/** Checkpoints in files, and the keys that a log signs them with. */
import {
  type Checkpoint,
  GateError,
  importKeySet,
  type KeptCheckpoint,
  type KeySet,
  readCheckpoint,
  type SigningKey,
} from "@stepgate/core";
import { openKeyFolder, readPublicKeys } from "./key-folder.ts";
import { readText } from "./reading.ts";

/** The keys of the gate whose log it is. */
export interface LogKeys {
  readonly signer: SigningKey;
  readonly trusted: KeySet;
}

/** The gate's keys, which must be there: keys made on the spot would be known to no auditor. @throws GateError KEY_INVALID. */
export async function openLogKeys(folder: string): Promise<LogKeys> {
  const trusted = importKeySet(await readPublicKeys(folder));
  const { signer } = await openKeyFolder(folder, Date.now());
  return { signer, trusted };
}

/**
 * A checkpoint named as `FILE`, or as `FILE@TIME` by who has kept it since then (RFC 3339, UTC).
 *
 * @throws GateError INVALID_INPUT for what is no time; else as {@link readCheckpointFile}.
 */
export async function readKeptCheckpoint(option: string, trusted: KeySet): Promise<KeptCheckpoint> {
  const [, file = option, time] = /^(.+)@(\d{4}-\d\d-\d\dT[\d:.]+Z)$/.exec(option) ?? [];
  const { note } = await readCheckpointFile(file, trusted);
  if (time === undefined) return { note };
  const kept_since = Date.parse(time) / 1000;
  if (Number.isNaN(kept_since))
    throw new GateError(
      "INVALID_INPUT",
      `--checkpoint: '${time}' is no time; write FILE@2026-11-23T09:00:00Z`,
    );
  return { note, kept_since };
}

/** A checkpoint that a trusted key signed. @throws GateError as `readCheckpoint`, with the file's name. */
export async function readCheckpointFile(file: string, trusted: KeySet): Promise<Checkpoint> {
  const note = await readText(file);
  try {
    return readCheckpoint(note, trusted);
  } catch (cause) {
    if (!GateError.isInstance(cause)) throw cause;
    throw new GateError(cause.code, `${file}: ${cause.message}`, { cause });
  }
}
