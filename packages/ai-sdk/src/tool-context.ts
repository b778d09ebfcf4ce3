/** A tool's own context, validated as the SDK does it before it hands it to `needsApproval`. */

/**
 * The context after its schema: a standard schema (zod among them), or the SDK's own.
 *
 * @throws Error where it does not match, or where nothing here can validate it.
 */
export async function validated(context: unknown, schema: unknown): Promise<unknown> {
  if (schema === undefined || schema === null) return context;
  const known: unknown =
    typeof schema === "function" && !("~standard" in schema) ? schema() : schema;
  if (!isObject(known)) throw new TypeError("the tool's contextSchema is no schema");
  const standard = known["~standard"];
  if (isObject(standard) && typeof standard["validate"] === "function") {
    const result: unknown = await standard["validate"](context);
    if (isObject(result) && "value" in result && result["issues"] === undefined)
      return result["value"];
    throw new TypeError("the tool's context does not match its schema");
  }
  const { validate } = known;
  if (validate === undefined) return context;
  const result: unknown = typeof validate === "function" ? await validate(context) : undefined;
  if (isObject(result) && result["success"] === true) return result["value"];
  throw new TypeError("the tool's context does not match its schema");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === "object" || typeof value === "function") && value !== null;
}
