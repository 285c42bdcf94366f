/** A process that trains slowly, for a test to kill: _train_until_killed.ts BACKEND MODEL OUT OPTIONS(JSON). */
import process from "node:process";
import { loadModel } from "../../lib/model/load_model.ts";
import { train } from "../../lib/train/trainer.ts";
import { toyGroups } from "../_toys.ts";

const [backend, directory, out, options] = process.argv.slice(2);
const model = await loadModel(directory, { backend: backend as "wasm" | "webgpu" });
for await (const { step } of train(model, toyGroups(7), { ...JSON.parse(options), out })) {
  process.stdout.write(`${step}\n`);
  await new Promise((resolve) => setTimeout(resolve, 15));
}
