/** Makes the page one file, dist/verify.html: opened from anywhere, it works without a server and cannot reach the network. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { rolldown } from "rolldown";

const here = import.meta.dirname;

/** The page's text, its script within it. */
export async function buildPage(): Promise<string> {
  const build = await rolldown({ input: join(here, "main.ts"), platform: "browser" });
  const { output } = await build.generate({ format: "iife", minify: true });
  await build.close();
  // In a page these would end the script.
  const script = output[0].code.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
  const page = readFileSync(join(here, "index.html"), "utf8");
  const [, style = ""] = /<style>([\s\S]*)<\/style>/.exec(page) ?? [];
  // The JSON Schemas of policies are compiled to functions, as on Node.
  const policy = `default-src 'none'; script-src ${sourceOf(script)} 'unsafe-eval'; style-src ${sourceOf(style)}; base-uri 'none'; form-action 'none'`;
  return page
    .replace(
      "<title>",
      () => `<meta http-equiv="Content-Security-Policy" content="${policy}" />\n    <title>`,
    )
    .replace("<!-- script -->", () => `<script>${script}</script>`);
}

/** How a Content-Security-Policy allows this text and no other. */
function sourceOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

if (import.meta.main) {
  const file = join(here, "dist/verify.html");
  mkdirSync(join(here, "dist"), { recursive: true });
  writeFileSync(file, await buildPage());
  console.log(`wrote ${relative(process.cwd(), file)}: open it in a browser`);
}
