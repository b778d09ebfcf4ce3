/** Records as in-toto attestations: a Statement v1 about each record, in a DSSE envelope of its own. */
import { canonicalize, type Signer } from "@stepgate/core";
import { type Envelope, signEnvelope } from "./dsse.ts";
import type { SoundRecord } from "./sound-records.ts";

/** What the predicate is: a record of `stepgate.receipt/1`, member for member as the gate signed it. */
const PREDICATE_TYPE = "https://stepgate.dev/receipt/v1";

const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PAYLOAD_TYPE = "application/vnd.in-toto+json";

/**
 * The exporter's signed word on one record: that it verified.
 *
 * One envelope a record, because a predicate speaks of every subject of its statement. So each stands alone, can be shown
 * without the others, and is written as soon as it is made; lines of envelopes are an in-toto bundle. What is missing
 * between two of them shows by `seq` and `prev`, which are in the predicate.
 */
export function attest(record: SoundRecord, signer: Signer): Promise<Envelope> {
  // Canonical text holds the canonical text of its parts: the predicate is the record's line, byte for byte.
  return signEnvelope(PAYLOAD_TYPE, canonicalize(statementOf(record)), signer);
}

function statementOf({ receipt, hash, mode }: SoundRecord): object {
  const { log_id, sequence_id, seq } = receipt;
  return {
    _type: STATEMENT_TYPE,
    subject: [
      {
        name: `${log_id}/${sequence_id}/${seq}`,
        digest: { sha256: hash.slice("sha256:".length) },
        // An outcome, an approval and a seal do not say themselves that they belong to a shadow run.
        ...(mode === undefined ? {} : { annotations: { mode } }),
      },
    ],
    predicateType: PREDICATE_TYPE,
    predicate: receipt,
  };
}
