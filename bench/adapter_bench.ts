/**
 * Loading a checkpoint against reading its file; a LoRA step against a step of the whole model; decoding on 4-bit weights
 * against float32. The file is in the system's memory here; bench/figures.ts `loading` measures it cold as well.
 *
 *   deno bench -A bench/adapter_bench.ts
 *   AFT_BLAS=none deno bench -A bench/adapter_bench.ts --filter int4
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findAdapter } from "../lib/backend/webgpu.ts";
import {
  loadAndFree,
  loraSizes,
  randomCheckpoints,
  readThrough,
  trainingStep,
  writeRandomCheckpoint,
} from "./_adapters.ts";
import { randomDecoder } from "./_decoder.ts";
import { decodingCases, narrowed } from "./_decoding.ts";
import { decode } from "./_generation.ts";
import { openBench } from "./_device.ts";

const { adapter } = await findAdapter();
const folder = mkdtempSync(join(tmpdir(), "aft-adapter-bench-"));
globalThis.addEventListener("unload", () => rmSync(folder, { recursive: true, force: true }));

for (const checkpoint of randomCheckpoints) {
  let directory: string | undefined;
  const made = async () => {
    if (directory) return directory;
    const path = join(folder, checkpoint.dtype);
    await Deno.mkdir(path);
    await writeRandomCheckpoint(path, checkpoint);
    return directory = path;
  };
  const shared = { group: `loading ${checkpoint.dtype}`, n: 5, warmup: 1 };
  Deno.bench({
    ...shared,
    name: `${checkpoint.dtype}: the file read through`,
    baseline: true,
    fn: async () => readThrough(join(await made(), "model.safetensors")),
  });
  for (const backend of ["wasm", "webgpu"] as const) {
    Deno.bench({
      ...shared,
      name: `${checkpoint.dtype}: loaded, ${backend}`,
      ignore: backend === "webgpu" && !adapter,
      fn: async () => await loadAndFree(await made(), backend),
    });
  }
}

for (const backend of ["wasm", "webgpu"] as const) {
  const ignore = backend === "webgpu" && !adapter;
  for (const [name, sizes] of Object.entries(loraSizes)) {
    const given = { backend, ...sizes };
    for (const lora of [false, true]) {
      let step: ReturnType<typeof trainingStep> | undefined;
      Deno.bench({
        group: `${backend}: a step, ${name}`,
        name: `${backend}, ${name}: ${lora ? "LoRA of rank 16" : "the whole model"}`,
        baseline: !lora,
        ignore,
        n: 5,
        warmup: 1,
        fn: async () => (await (step ??= trainingStep(given, { lora }))).run(),
      });
    }
  }
  const { size, sequences } = decodingCases[backend];
  for (const samples of sequences) {
    for (const dtype of ["f32", "int4"] as const) {
      let decoder: ReturnType<typeof randomDecoder> | undefined;
      Deno.bench({
        group: `${backend}: decoding, ${samples} at once`,
        name: `${backend}, ${samples} at once: ${dtype}`,
        baseline: dtype === "f32",
        ignore,
        n: 5,
        warmup: 1,
        async fn() {
          await openBench(backend);
          decoder ??= dtype === "f32" ? randomDecoder(size) : await narrowed(randomDecoder(size), "int4");
          await decode(decoder, { questions: 1, samples, prompt: 16, tokens: 8 });
        },
      });
    }
  }
}
