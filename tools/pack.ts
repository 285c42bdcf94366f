/**
 * Packs the project with all that it runs with into one archive, for machines without a network.
 *
 *   deno task pack --out aft.tar.gz      there: tar xzf aft.tar.gz && aft/aft align
 */
import process from "node:process";
import { createGzip } from "node:zlib";
import { fileURLToPath } from "node:url";
import { UsageError } from "../lib/runtime/errors.ts";
import { exists, writeAtomic } from "../lib/runtime/files.ts";
import { required, text } from "../tasks/cli/option.ts";
import { runTask } from "../tasks/cli/run_task.ts";
import { pick } from "../tasks/cli/shared_options.ts";
import { packedEntries } from "./_packed.ts";
import { type Entry, tar } from "./_tar.ts";

await runTask({
  name: "pack",
  summary: "Pack runtime, packages and project into one archive for machines without a network",
  description:
    "The archive holds a folder aft with this machine's Deno, the packages, the project and a command, aft/aft, which " +
    "takes the tasks as its first word. It runs on machines of the same system and processor. Models and data are not " +
    "in it.",
  examples: [
    { does: "One archive", command: "deno task pack --out aft.tar.gz" },
  ],
  options: {
    out: required(text("--out", { metavar: "FILE", help: "Archive to write: a .tar.gz" })),
    ...pick("overwrite"),
  },
  async run({ out, overwrite }, { listener, signal }) {
    if (!/\.(tar\.gz|tgz)$/.test(out)) {
      throw new UsageError(`Option --out must end in .tar.gz or .tgz: got ${JSON.stringify(out)}`);
    }
    if (!overwrite && await exists(out)) {
      throw new UsageError(`Cannot write ${out}: it already exists; use --overwrite or another --out`);
    }
    if (!("Deno" in globalThis)) {
      throw new UsageError("Cannot pack under another runtime than Deno: it is Deno that is packed");
    }
    const platform = { system: process.platform, processor: process.arch };
    const entries = await packedEntries(fileURLToPath(new URL("..", import.meta.url)), {
      deno: process.execPath,
      platform,
    });
    let done = 0, bytes = 0;
    async function* counted(): AsyncGenerator<Entry> {
      for (const entry of entries) {
        signal.throwIfAborted();
        yield { ...entry, path: `aft/${entry.path}` };
        listener.progress({ part: "pack", done: ++done, total: entries.length });
      }
    }
    await writeAtomic(out, async (sink) => {
      for await (const piece of gzipped(tar(counted()))) {
        signal.throwIfAborted(); // Deno itself takes many pieces
        bytes += piece.length;
        await sink.write(piece);
      }
    });
    listener.note(
      `Wrote ${out}: ${entries.length} files, ${
        (bytes / 1e6).toFixed(0)
      } MB, for ${platform.system} ${platform.processor}`,
    );
  },
});

/** The bytes packed by gzip, without a time. */
async function* gzipped(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const zip = createGzip({ level: 6 });
  const fed = (async () => {
    for await (const piece of bytes) {
      if (!zip.write(piece)) await new Promise<void>((resolve) => zip.once("drain", resolve));
    }
    zip.end();
  })().catch((error) => void zip.destroy(error));
  yield* zip;
  await fed;
}
