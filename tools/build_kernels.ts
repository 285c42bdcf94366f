/**
 * Compiles the AssemblyScript kernels of lib/kernels/assembly to WebAssembly, one module a file, each written as
 * base64 into lib/kernels/built, so that every runtime loads it without reading a file.
 *
 *   deno task build:kernels [NAME ...]      all of them without a name
 *   deno task build:kernels --check         fails when a built module is not what its source gives
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import asc from "assemblyscript/asc";

const folder = new URL("../lib/kernels/assembly/", import.meta.url);
const built = new URL("../lib/kernels/built/", import.meta.url);
const asked = process.argv.slice(2).filter((a) => !a.startsWith("--"));
const check = process.argv.includes("--check");
/** Built from another's source, with multiplications and additions in one instruction. */
const fused: Readonly<Record<string, string>> = { narrow_dots_fused: "narrow_dots", sgemm_fused: "sgemm" };
const names = asked.length > 0 ? asked : [
  ...(await readdir(folder)).filter((f) => f.endsWith(".ts") && f !== "simd.ts").map((f) => f.slice(0, -3)),
  ...Object.keys(fused),
].sort();

const scratch = await mkdtemp(join(tmpdir(), "aft-kernels-"));
let stale = 0;
try {
  for (const name of names) {
    const output = join(scratch, `${name}.wasm`), source = fused[name] ?? name;
    const { error, stderr } = await asc.main([
      new URL(`${source}.ts`, folder).pathname,
      "--outFile",
      output,
      "--optimizeLevel",
      "3",
      "--noAssert",
      "--runtime",
      "stub",
      "--importMemory",
      "--maximumMemory", // what `instantiate` expects; pages
      "65535",
      "--enable",
      "simd",
      "--enable",
      "relaxed-simd",
      "--use",
      `FUSED=${name in fused ? 1 : 0}`,
    ]);
    if (error) {
      process.stderr.write(`${stderr.toString()}\n`);
      process.exit(1);
    }
    const bytes = await readFile(output);
    const lines = bytes.toString("base64").match(/.{1,120}/g)!;
    const text =
      `// Built from ${source}.ts by \`deno task build:kernels\`: ${bytes.length} bytes of WebAssembly.\n` +
      `export default \`\n${lines.join("\n")}\n\`;\n`;
    const target = new URL(`${name}.wasm.ts`, built);
    if (!check) {
      await writeFile(target, text);
      process.stderr.write(`${name}: ${bytes.length} bytes\n`);
    } else if (await readFile(target, "utf8").catch(() => "") !== text) {
      stale++;
      process.stderr.write(
        `lib/kernels/built/${name}.wasm.ts is not what its source gives: run deno task build:kernels\n`,
      );
    }
  }
} finally {
  await rm(scratch, { recursive: true });
}
process.exit(stale > 0 ? 1 : 0);
