/**
 * Merges a LoRA adapter into its base: writes a full model directory.
 *
 *   deno task merge --model models/smol --adapter runs/lora --out models/smol-aligned
 */
import { mergeAdapter } from "../lib/model/merge.ts";
import { baseDirectory, readAdapterConfig } from "../lib/checkpoint/adapter_config.ts";
import { resolveModel } from "../lib/checkpoint/resolve_model.ts";
import { runTask } from "./cli/run_task.ts";
import { choice, required, text } from "./cli/option.ts";
import { pick, shared } from "./cli/shared_options.ts";

await runTask({
  name: "merge",
  summary: "Merge a LoRA adapter into its base",
  description:
    "Writes the full model that base and adapter are together, in the base's dtype unless --dtype says another.",
  examples: [{
    does: "A model that any tool loads",
    command: "deno task merge --adapter runs/lora --out models/aligned",
  }],
  options: {
    model: text("--model", {
      metavar: "DIR|NAME",
      help: "The base, or its name on the hub; default: the one that the adapter names",
    }),
    adapter: required(text("--adapter", { metavar: "DIR", help: "Adapter directory, in PEFT's layout" })),
    out: required(shared.out),
    dtype: choice("--dtype", { choices: ["F32", "F16", "BF16"], help: "Kind of all weights" }),
    ...pick("backend", "overwrite"),
  },
  async run({ model, adapter, out, dtype, backend, overwrite }, io) {
    const base = model === undefined
      ? await baseDirectory(await readAdapterConfig(adapter), { listener: io.listener, signal: io.signal })
      : await resolveModel(model, { listener: io.listener, signal: io.signal });
    await mergeAdapter(out, {
      base,
      adapter,
      dtype,
      backend,
      overwrite,
      listener: io.listener,
      signal: io.signal,
    });
    io.listener.note(`Wrote ${out}`);
  },
});
