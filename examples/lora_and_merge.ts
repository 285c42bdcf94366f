/**
 * Train a LoRA adapter, save it in PEFT's layout, and merge it into its base.
 *
 *   deno run -A examples/lora_and_merge.ts [DIRECTORY]
 */
import { join } from "node:path";
import process from "node:process";
import { loadDataset, loadModel, mergeAdapter, parseLora, train } from "../mod.ts";

const out = process.argv[2] ?? "runs/example-lora";
const adapter = join(out, "adapter"), merged = join(out, "merged");
{
  using model = await loadModel("fixtures/base", { lora: parseLora("r=4,alpha=8") });
  const problems = loadDataset("arithmetic", { limit: 32 });
  for await (
    const { step, loss } of train(model, problems, { objective: "vft", epochs: 1, learningRate: 1e-3 })
  ) {
    console.log(`step ${step}: loss ${loss.toFixed(3)}`);
  }
  await model.save(adapter, { overwrite: true });
}
await mergeAdapter(merged, { base: "fixtures/base", adapter, overwrite: true });
console.log(`Wrote ${merged}`);
