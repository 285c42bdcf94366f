/** Three programs of one pipe want the same model of the hub, which nobody has downloaded yet. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, root, shell } from "../_commands.ts";
import { withHub } from "./_hub_server.ts";

test("programs of one pipe that name a model of the hub work on an empty cache", async () => {
  const folder = join(root, base), files: Record<string, Uint8Array> = {};
  for (const name of readdirSync(folder)) files[name] = new Uint8Array(readFileSync(join(folder, name)));
  await withHub({ files }, async (hub, { endpoint, cacheDirectory }) => {
    const model = "--model org/tiny --backend wasm --quiet", out = at("piped");
    const { code, err } = await shell(
      `@generate ${model} --data arithmetic:train --limit 4 --samples 2 --max-tokens 12 | @score ${model} | ` +
        `@ca-align ${model} --objective rrhf --steps 1 --out ${out}`,
      { env: { HF_ENDPOINT: endpoint, HF_HUB_CACHE: cacheDirectory } },
    );
    assert.equal(code, 0, err);
    assert.ok(existsSync(join(out, "model.safetensors")));
    const probes = hub.requests.filter((request) =>
      request.includes("/resolve/") && request.endsWith(".safetensors")
    );
    assert.equal(probes.length, 2, "one probe and one transfer of the weights, for three programs");
    assert.deepEqual(
      readdirSync(join(cacheDirectory, "models--org--tiny", "blobs")).filter((n) => n.includes(".")),
      [],
    );
  });
});
