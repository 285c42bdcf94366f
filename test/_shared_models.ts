import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadModel } from "../lib/model/load_model.ts";
import type { Model } from "../lib/model/model.ts";
import { assertNoLeak, onBothBackends } from "./_backends.ts";

const shared = fileURLToPath(new URL("../../shared/", import.meta.url));

/** Folders of the golden checkpoints, one a family or feature. */
export const goldenModels = ["llama", "llama3", "mistral", "qwen2", "qwen3", "gpt2", "bf16", "sharded"]
  .map((name) => `golden/models/${name}`);

/** The content of a JSON file below ../shared. */
// deno-lint-ignore no-explicit-any -- tests check what they read by using it
export function sharedJson(path: string): any {
  return JSON.parse(readFileSync(join(shared, path), "utf8"));
}

/**
 * Declares a test with a loaded model of ../shared on both backends; skipped, saying so, without that folder. The test
 * fails when it leaves a tensor behind.
 */
export function withSharedModel(
  name: string,
  path: string,
  body: (model: Model, backend: "wasm" | "webgpu") => Promise<void>,
): void {
  if (!existsSync(shared)) {
    test(name, { skip: "no ../shared beside the repository" }, () => {});
    return;
  }
  onBothBackends(name, async (backend) => {
    await assertNoLeak(async () => {
      const model = await loadModel(join(shared, path), { backend });
      try {
        await body(model, backend);
      } finally {
        model.dispose();
      }
    });
  });
}
