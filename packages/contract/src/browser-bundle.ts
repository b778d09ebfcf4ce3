/** A module and all that it imports as one script for browsers, which must hold nothing that a browser lacks. */
import { rolldown } from "rolldown";

/**
 * The script's text: a module, or with `global` a plain script that leaves the exports under that name.
 *
 * @throws Error that names what it would take from outside of the browser: `node:` imports, `Buffer`, `process`.
 */
export async function bundleForBrowser(entry: string, global?: string): Promise<string> {
  const unresolved: string[] = [];
  const build = await rolldown({
    input: entry,
    platform: "browser",
    onwarn: ({ message }) => void unresolved.push(message ?? "a warning without a message"),
  });
  const { output } = await build.generate(
    global === undefined ? { format: "esm" } : { format: "iife", name: global },
  );
  await build.close();
  const [script, ...more] = output;
  if (more.length > 0) unresolved.push(`${more.length} more files`);
  const missing = [...unresolved, ...script.imports, ...foreignNames(script.code)];
  if (missing.length > 0) throw new Error(`${entry} is not for browsers: ${missing.join("; ")}`);
  return script.code;
}

/** What only Node has, outside of comments and texts, and of lines that ask by `typeof` whether it is there. */
function foreignNames(code: string): readonly string[] {
  const bare = code.replaceAll(
    /\/\*[\s\S]*?\*\/|^\s*\/\/.*$|"(?:[^"\\\n]|\\.)*"|`(?:[^`$\\]|\\.)*`/gm,
    "",
  );
  const specifiers = [...code.matchAll(/["'`](node:[\w/]+)["'`]/g)].map(([, found = ""]) => found);
  const globals = bare
    .split("\n")
    .flatMap((line) =>
      [...line.matchAll(/(?<![.\w$])(?:Buffer|process|require|__dirname)\b(?!:)/g)]
        .map(([found]) => found)
        .filter((found) => !line.includes(`typeof ${found}`)),
    );
  return [...new Set([...specifiers, ...globals])];
}
