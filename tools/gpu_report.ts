/**
 * Measures the GPU of this machine: every kernel beside the CPU's, what each reaches of the measured peak, training steps
 * and decoding. Writes DIR/NAME.json and DIR/NAME.html.
 *
 *   deno task gpu-report
 */
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { openDevice } from "../lib/backend/backend.ts";
import type { CpuDevice } from "../lib/backend/device.ts";
import { findAdapter, openWebgpu } from "../lib/backend/webgpu.ts";
import { tuneDevice } from "../lib/kernels/product/tuned_device.ts";
import { agrees, type GpuMeasurements } from "../lib/report/gpu_measurements.ts";
import { gpuPage } from "../lib/report/gpu_page.ts";
import { machine, runtime } from "../lib/runtime/environment.ts";
import { InputError, UsageError } from "../lib/runtime/errors.ts";
import { gpuInUse } from "../lib/runtime/gpu.ts";
import { exists, makeDirectory, writeJson, writeText } from "../lib/runtime/files.ts";
import { integer, preset, text, toggle } from "../tasks/cli/option.ts";
import { runTask } from "../tasks/cli/run_task.ts";
import { pick } from "../tasks/cli/shared_options.ts";
import { Devices, measure } from "./gpu/measure.ts";

const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
] as const;

await runTask({
  name: "gpu-report",
  summary: "Measure this machine's GPU and write a page about it",
  description:
    "Compares every kernel with the CPU's, then measures training steps, decoding and each kernel " +
    "beside the adapter's own copies and arithmetic, until the time is up. Needs no network.",
  examples: [
    { does: "The whole report, in about four minutes", command: "deno task gpu-report" },
    { does: "The same by way of Dawn", command: "deno task gpu-report --gpu dawn" },
    { does: "To see that everything runs", command: "deno task gpu-report --quick --out runs/quick" },
  ],
  options: {
    out: preset(text("--out", { metavar: "DIR", help: "Where the JSON and the page go" }), "runs/gpu"),
    seconds: preset(
      integer("--seconds", { min: 1, max: 3600, help: "When nothing more is begun" }),
      240,
    ),
    quick: toggle("--quick", { help: "Everything once, at one small size: whether it works, not how fast" }),
    ...pick("overwrite"),
  },
  async run({ out, seconds, quick, overwrite }, { listener, output, signal }) {
    const { adapter, description, isCpu } = await findAdapter();
    if (!adapter) {
      throw new UsageError("Cannot measure a GPU: found no adapter", { code: "no-adapter" });
    }
    const { name, version } = runtime();
    const path = join(out, slug(`${description} ${name} ${gpuInUse()}`));
    if (!overwrite && await exists(`${path}.json`)) {
      throw new UsageError(`Cannot write ${path}.json: it already exists; use --overwrite or another --out`);
    }
    await makeDirectory(out);
    listener.note(`${description}${isCpu ? " (a CPU that stands in for a GPU)" : ""}, ${name} ${version}`);
    const begun = performance.now();
    const cpu = await openDevice("wasm") as CpuDevice;
    const open = async () => {
      const gpu = await openWebgpu("asked for");
      await tuneDevice(gpu, { listener, signal }); // as tasks use it
      return gpu;
    };
    const gpu = await open();
    const measured = await measure(new Devices(gpu, cpu, open), { seconds, quick, listener, signal });
    const host = machine();
    const found: GpuMeasurements = {
      format: 1,
      date: new Date().toISOString(),
      version: manifest.version,
      runtime: `${name} ${version}`,
      webgpu: gpuInUse(),
      machine: `${host.processor || host.architecture}, ${host.system}, ${host.cores} cores`,
      adapter: description,
      isCpu,
      features: [...gpu.features].sort(),
      limits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
      quick,
      seconds: Math.round((performance.now() - begun) / 1000),
      ...measured,
    };
    await writeJson(`${path}.json`, found);
    await writeText(`${path}.html`, gpuPage(found));
    const wrong = found.checks.filter((check) => !agrees(check));
    await output.write(`${path}.json`);
    await output.write(`${path}.html`);
    if (wrong.length > 0) {
      throw new InputError(
        `Found ${wrong.length} of ${found.checks.length} comparisons with the CPU wrong, first ${
          wrong[0]!.kernel
        } at ${wrong[0]!.shape}: ${path}.html lists them`,
      );
    }
  },
});

/** A name of a file: letters and digits of a text, joined. */
function slug(words: string): string {
  return words.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}
