/**
 * Says what this machine has for the work, and what to install where something is missing.
 *
 *   deno task doctor
 */
import { findAdapter, identityOf } from "../lib/backend/webgpu.ts";
import { openDevice } from "../lib/backend/backend.ts";
import type { AdapterIdentity } from "../lib/backend/device.ts";
import { readTable } from "../lib/kernels/product/tile_table.ts";
import { mayTune, tableLines, tuneDevice } from "../lib/kernels/product/tuned_device.ts";
import { machine, runtime } from "../lib/runtime/environment.ts";
import { gpuInUse } from "../lib/runtime/gpu.ts";
import { findBlas } from "../lib/runtime/native.ts";
import { availableMpi, installMpi } from "../lib/runtime/world.ts";
import { runTask } from "./cli/run_task.ts";
import { toggle } from "./cli/option.ts";

await runTask({
  name: "doctor",
  summary: "Show runtime, adapter, limits, BLAS and memory",
  description:
    "The first task on a GPU measures for five seconds how products are best cut there, and keeps the table " +
    "in the cache folder (AFT_CACHE, or aft in ~/.cache), where later tasks find it; AFT_TUNE=off does without. " +
    "A CPU that stands in for a GPU is measured by --retune alone, for 40 seconds.",
  examples: [
    { does: "What would be used here, and what is missing", command: "deno task doctor" },
    {
      does: "Measure the GPU's products anew, after an update of its driver",
      command: "deno task doctor --retune",
    },
  ],
  options: {
    json: toggle("--json", { help: "Print everything as JSON" }),
    retune: toggle("--retune", { help: "Measure how this machine's GPU is best used, and keep that" }),
  },
  together: true,
  async run(options, io) {
    const { adapter, isCpu, description } = await findAdapter();
    if (options.retune) {
      const device = await openDevice("webgpu");
      if (device.name === "webgpu") {
        await tuneDevice(device, { again: true, listener: io.listener, signal: io.signal });
      }
    }
    const products = adapter && await productsOn(identityOf(adapter), isCpu);
    const { blas, why } = await findBlas();
    const { reason } = await openDevice("auto");
    const mpi = await availableMpi(), { world } = io;
    const limits = adapter && Object.fromEntries(
      ([
        "maxStorageBufferBindingSize",
        "maxBufferSize",
        "maxStorageBuffersPerShaderStage",
        "maxComputeWorkgroupStorageSize",
        "maxComputeInvocationsPerWorkgroup",
      ] as const)
        .map((name) => [name, adapter.limits[name]]),
    );
    const features = adapter
      ? ["shader-f16", "timestamp-query", "subgroups"].map((f) =>
        [f, adapter.features.has(f as GPUFeatureName)] as const
      )
      : [];
    const host = machine(), { name, version } = runtime();
    if (options.json) {
      await io.output.writeRecord({
        runtime: { name, version },
        machine: host,
        backend: reason,
        webgpu: gpuInUse(),
        adapter: adapter
          ? { description, isCpu, limits, features: Object.fromEntries(features), products: products!.json }
          : null,
        blas: blas ? { path: blas.path, description: blas.description } : null,
        mpi,
        world: { size: world.size, description: world.description },
      });
      return;
    }
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    const lines: [string, string][] = [
      ["runtime", `${name} ${version}`],
      [
        "machine",
        `${host.processor || host.architecture}, ${host.system}, ${host.cores} cores, ${
          gib(host.memoryTotal)
        } memory, ${gib(host.memoryAvailable)} free`,
      ],
      ["WebGPU", gpuInUse() === "dawn" ? "Dawn" : "the runtime's own (--gpu dawn takes Dawn)"],
      ["adapter", adapter ? `${description}${isCpu ? " (a CPU: software Vulkan)" : ""}` : "none"],
      ...Object.entries(limits ?? {}).map(([key, value]): [string, string] => [
        `  ${key}`,
        key.endsWith("Size") && value > 2 ** 20 ? `${Math.round(value / 2 ** 20)} MiB` : String(value),
      ]),
      ...features.map(([key, has]): [string, string] => [`  ${key}`, has ? "yes" : "no"]),
      ...products?.lines ?? [],
      ["BLAS", blas ? blas.description : `none: ${why}`],
      ...blas && blas.path !== blas.description ? [["", blas.path] as [string, string]] : [],
      ["--backend auto", reason],
      ...mpi.length > 0
        ? mpi.map(({ version, path }, i): [string, string] => [i === 0 ? "MPI" : "", `${version}, ${path}`])
        : [["MPI", `none: for several processes, ${installMpi()}`] as [string, string]],
      ["world", world.size === 1 ? "one process" : `${world.size} processes, joined by ${world.description}`],
    ];
    // What belongs to the adapter is indented, and has a column of its own.
    const widthOf = (inner: boolean) =>
      Math.max(...lines.map(([key]) => key.startsWith(" ") === inner ? key.length : 0));
    for (const [key, value] of lines) {
      await io.output.write(`${key.padEnd(widthOf(key.startsWith(" ")))}  ${value}`);
    }
    for (const hint of hints({ adapter: adapter !== undefined, isCpu, blas: blas !== undefined })) {
      await io.output.write(`hint: ${hint}`);
    }
  },
});

/** How products are cut on an adapter: by a table that is kept, or as they are built in, and why. */
async function productsOn(
  adapter: AdapterIdentity,
  isCpu: boolean,
): Promise<{ readonly lines: [string, string][]; readonly json: unknown }> {
  const kept = await readTable(adapter);
  const why = !mayTune()
    ? "switched off by AFT_TUNE=off"
    : kept && "refused" in kept
    ? `${kept.path} is not used: ${kept.refused}`
    : kept
    ? undefined
    : isCpu
    ? "a CPU is measured by --retune alone"
    : "the first task will measure them";
  if (why !== undefined || !kept || "refused" in kept) {
    return { lines: [["  products", `as built in: ${why}`]], json: { table: null, why } };
  }
  return {
    lines: [
      ["  products", `measured: ${kept.path}`],
      ...tableLines(kept).map(([name, line]): [string, string] => [`    ${name}`, line]),
    ],
    json: { table: kept.path, kinds: Object.fromEntries(kept.kinds), left: kept.left },
  };
}

/** What to install, where something is missing. */
function hints(
  has: { readonly adapter: boolean; readonly isCpu: boolean; readonly blas: boolean },
): string[] {
  const found: string[] = [];
  const linux = machine().system === "linux";
  if (!has.adapter) {
    found.push(
      linux
        ? "no WebGPU adapter: install your GPU's Vulkan driver (mesa-vulkan-drivers, or NVIDIA's own) and libvulkan1"
        : "no WebGPU adapter: update the GPU's driver",
    );
  }
  if (!has.blas && runtime().name === "node") {
    found.push(
      "products on the CPU are several times faster with OpenBLAS, which Deno and Bun can load, Node cannot",
    );
  } else if (!has.blas && linux) {
    found.push(
      "products on the CPU are several times faster with OpenBLAS: apt install libopenblas0-pthread, or dnf install openblas-threads",
    );
  }
  if (has.isCpu) found.push("the only adapter is a CPU: --backend wasm is faster, and auto takes it");
  return found;
}
