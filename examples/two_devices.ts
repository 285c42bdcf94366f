/**
 * The same model on two devices of one program, and how far their log-probs are apart.
 *
 *   deno run -A examples/two_devices.ts
 */
import { loadModel, UsageError } from "../mod.ts";

const ids = [7, 61, 5, 90, 12, 33];
using cpu = await loadModel("fixtures/base", { backend: "wasm" });
const expected = await cpu.logprobs(ids);
try {
  using gpu = await loadModel("fixtures/base", { backend: "webgpu" });
  const found = await gpu.logprobs(ids);
  const apart = Math.max(...expected.map((value, i) => Math.abs(value - found[i])));
  console.log(`${cpu.device.name} and ${gpu.device.name}: at most ${apart.toExponential(1)} nats apart`);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.log(`${cpu.device.name} alone: ${error.message}`);
}
