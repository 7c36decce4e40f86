/** Builds the page that `incarnate export me.avatar me.html` fills: one file, nothing outside it. */

import { build } from "esbuild";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";

const target = new URL("../incarnate/assets/page/", import.meta.url);

const { outputFiles, metafile } = await build({
  entryPoints: ["src/main.ts"],
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: "es2022",
  legalComments: "inline",
  charset: "utf8",
  metafile: true,
});
/** The licences of whatever was bundled. */
async function licences(inputs) {
  const packages = Object.keys(inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]);
  const texts = [...new Set(packages)].filter(Boolean).sort().map(async (name) => {
    return `${name}\n\n${await readFile(`node_modules/${name}/LICENSE`, "utf8")}`;
  });
  return (await Promise.all(texts)).join("\n\n").replaceAll("--", "- -");
}

const parts = {
  licences: await licences(metafile.inputs),
  style: (await readFile("src/page.css", "utf8")).trim(),
  script: outputFiles[0].text.trim(),
};
const page = await readFile("src/page.html", "utf8");
const filled = page.replace(/\{\{(licences|style|script)\}\}/g, (_, name) => parts[name]);
await mkdir(target, { recursive: true });
const part = new URL("page.html.part", target);
await writeFile(part, filled);
await rename(part, new URL("page.html", target));
