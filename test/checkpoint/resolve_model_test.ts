import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadModel } from "../../lib/model/load_model.ts";
import { hubModelOf, parseHubModel, resolveModel } from "../../lib/checkpoint/resolve_model.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { run } from "../_commands.ts";
import { commit, type Hub, withHub } from "../hub/_hub_server.ts";
import { freshPath, writeSmallModel } from "../_models.ts";

const shared = fileURLToPath(new URL("../../../shared/", import.meta.url));
const task = fileURLToPath(new URL("../../tasks/score.ts", import.meta.url));
const skip = existsSync(shared) ? false : "no ../shared beside the repository";

/** The files of a folder, as a server holds them, with others around that loading does not need. */
function filesOf(folder: string): Hub["files"] {
  const files: Hub["files"] = {};
  for (const name of readdirSync(folder)) files[name] = new Uint8Array(readFileSync(join(folder, name)));
  return { ...files, "onnx/model.onnx": new Uint8Array(4), "consolidated.safetensors": new Uint8Array(4) };
}

const fails = (promise: Promise<unknown>, pattern: RegExp) =>
  assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof InputError, String(error.stack));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  });

test("what is a name on the hub", () => {
  assert.deepEqual(parseHubModel("org/model-1.5B"), { repo: "org/model-1.5B", revision: "main" });
  assert.deepEqual(parseHubModel("org/m@v1.0"), { repo: "org/m", revision: "v1.0" });
  assert.deepEqual(parseHubModel("org/m@refs/pr/3"), { repo: "org/m", revision: "refs/pr/3" });
  for (
    const no of [
      "m",
      "./m",
      "a/b/c",
      "/a/b",
      "org/m@",
      "org/",
      "../m",
      "org/m@../x",
      "a--b/m",
      "o/m..n",
      "o/m@x/",
    ]
  ) {
    assert.equal(parseHubModel(no), undefined, no);
  }
  assert.deepEqual(hubModelOf(`/cache/models--org--m/snapshots/${commit}`), {
    repo: "org/m",
    revision: commit,
  });
  assert.equal(hubModelOf("/cache/models--org--m"), undefined);
});

test("a folder is taken as it is; a mistyped path is not asked of the hub", async () => {
  await withHub({}, async (hub, options) => {
    const folder = await writeSmallModel();
    assert.equal(await resolveModel(folder, options), folder);
    await fails(
      resolveModel("test/nothing", options),
      /^Cannot open model directory test\/nothing: no such directory; the hub is not asked, since test is a folder here: write test\/nothing@main/,
    );
    for (const path of [freshPath(), "a/b/c", "smol"]) {
      await fails(
        resolveModel(path, options),
        /: no such directory, and no name of a model on the hub \(ORG\/NAME/,
      );
    }
    assert.deepEqual(hub.requests, []);
  });
});

test("a model is downloaded, loaded, and found again offline", { skip }, async () => {
  const files = filesOf(join(shared, "models/stories260K"));
  const ids = [1, 403, 407, 261, 378];
  await withHub({ files, cuts: { after: 400_000, times: 1 } }, async (hub, options, server) => {
    const { cacheDirectory } = options, lines: string[] = [];
    const model = await loadModel("org/stories", {
      backend: "wasm",
      hub: options,
      listener: {
        note: (line) => lines.push(line),
        progress: ({ part, done, total, unit }) => void (unit && lines.push(`${part}: ${done} of ${total}`)),
      },
    });
    assert.equal(model.directory, join(cacheDirectory, "models--org--stories/snapshots", commit));
    assert.deepEqual(hubModelOf(model.directory), { repo: "org/stories", revision: commit });
    assert.equal(hub.ranges.length, 1); // the cut transfer was taken up where it stopped
    assert.match(lines[0], /^config\.json: (\d+) of \1$/);
    assert.match(lines.at(-2)!, /^model\.safetensors: (\d+) of \1$/);
    assert.match(lines.at(-1)!, /^Backend: /);
    const logprobs = await model.logprobs(ids);
    model.dispose();
    const local = await loadModel(join(shared, "models/stories260K"), { backend: "wasm" });
    assert.deepEqual(logprobs, await local.logprobs(ids));
    local.dispose();
    const needed = [
      "LICENSE.llama2.c",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ];
    assert.deepEqual(readdirSync(model.directory).sort(), needed);

    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
    assert.equal(await resolveModel("org/stories", { ...options, offline: true }), model.directory);
    await fails(
      resolveModel("org/other@v2", { ...options, offline: true }),
      /^Cannot find org\/other \(v2\) in .* offline; there is no directory org\/other@v2 either$/,
    );
    await fails(
      resolveModel("org/stories", options),
      /^Cannot download org\/stories from http:\/\/127.0.0.1:\d+: .*; there is no directory org\/stories either$/,
    );
  });
});

test("what can be said without weights needs config.json alone", { skip }, async () => {
  await withHub({ files: filesOf(join(shared, "models/stories260K")) }, async (hub, options) => {
    const directory = await resolveModel("org/stories", { ...options, only: "config" });
    assert.deepEqual(readdirSync(directory), ["config.json"]);
    assert.equal(hub.requests.filter((r) => r.includes("/resolve/")).length > 0, true);
    // What comes later completes the same snapshot.
    assert.equal(await resolveModel("org/stories", options), directory);
    assert.ok(readdirSync(directory).includes("model.safetensors"));
  });
});

test("--dry-run of an adapter: its base's config and no weights, whichever of them is on the hub", async () => {
  const base = await writeSmallModel(), adapter = freshPath();
  const model = await loadModel(base, { backend: "wasm", lora: { r: 2, alpha: 4 } });
  await model.save(adapter);
  model.dispose();
  const plan = async (
    name: string,
    { endpoint, cacheDirectory }: { endpoint: string; cacheDirectory: string },
  ) => {
    const args = ["--model", name, "--out", freshPath(), "--base-dtype", "int8", "--backend", "wasm"];
    const env = { HF_ENDPOINT: endpoint, HF_HUB_CACHE: cacheDirectory, HF_HUB_OFFLINE: "", HF_TOKEN: "" };
    const { code, out, err } = await run("vft", [...args, "--dry-run"], { env });
    assert.equal(code, 0, err);
    return JSON.parse(out).memory;
  };
  const weights = (hub: Hub) => hub.requests.filter((r) => /resolve.*safetensors/.test(r));
  const here = { endpoint: "http://127.0.0.1:9", cacheDirectory: freshPath() };
  const { trainable, bytes } = await plan(adapter, here);
  assert.ok(trainable > 0 && trainable < 10_000, String(trainable));
  await withHub({ files: filesOf(adapter) }, async (hub, options) => {
    assert.deepEqual((await plan("org/adapter", options)).bytes, bytes);
    assert.deepEqual(weights(hub), []);
  });
  const path = join(adapter, "adapter_config.json"), json = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...json, base_model_name_or_path: "org/base" }));
  await withHub({ files: filesOf(base) }, async (hub, options) => {
    assert.deepEqual((await plan(adapter, options)).bytes, bytes);
    assert.deepEqual(weights(hub), []);
  });
  assert.match(await plan(adapter, here), /^not known: Cannot download org\/base from /);
});

test("an adapter of a model of the hub names it, and finds it again", async () => {
  await withHub({ files: filesOf(await writeSmallModel()) }, async (_, hub) => {
    const adapter = freshPath(), lora = { r: 2, alpha: 4 };
    const model = await loadModel("org/small", { backend: "wasm", hub, lora });
    await model.save(adapter);
    model.dispose();
    const config = JSON.parse(readFileSync(join(adapter, "adapter_config.json"), "utf8"));
    assert.equal(config.base_model_name_or_path, "org/small");
    assert.equal(config.revision, commit);
    const again = await loadModel(adapter, { backend: "wasm", hub: { ...hub, offline: true } });
    assert.equal(again.directory, join(hub.cacheDirectory, "models--org--small/snapshots", commit));
    again.dispose();
  });
});

test(
  "a whole command with a name of the hub: progress and errors on standard error, one line",
  { skip },
  async () => {
    await withHub(
      { files: filesOf(join(shared, "models/stories260K")) },
      async (_, { endpoint, cacheDirectory }) => {
        const env = { ...process.env, HF_ENDPOINT: endpoint, HF_HUB_CACHE: cacheDirectory, NO_COLOR: "1" };
        const score = (model: string) =>
          new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
            const start = "Deno" in globalThis ? ["run", "-A", "--no-check"] : ["run"];
            const child = spawn(process.execPath, [...start, task, "--model", model, "--backend", "wasm"], {
              env,
            });
            let out = "", err = "";
            child.stdout.on("data", (chunk) => out += chunk);
            child.stderr.on("data", (chunk) => err += chunk);
            child.on("close", (code) => resolve({ code, out, err }));
            child.stdin.end('{"id":"a","question":"1+1?","answer":"2","candidates":[{"text":"2"}]}\n');
          });
        const done = await score("org/stories");
        assert.equal(done.code, 0, done.err);
        assert.equal(typeof JSON.parse(done.out).candidates[0].score, "number");
        assert.match(done.err, /^Downloading model\.safetensors: .* MB \(100%\)$/m);
        const none = await score("org/none");
        assert.deepEqual([none.code, none.out], [1, ""]);
        assert.match(
          none.err,
          /^score: Cannot download org\/none from .*\(404\); there is no directory org\/none either\n$/,
        );
      },
    );
  },
);

test("shards are downloaded as their index names them", { skip }, async () => {
  await withHub({ files: filesOf(join(shared, "golden/models/sharded")) }, async (hub, options) => {
    const model = await loadModel("org/sharded", { backend: "wasm", hub: options });
    assert.ok((await model.logits([1, 2, 3])).every(Number.isFinite));
    model.dispose();
    const asked = hub.requests.filter((r) => r.includes("/resolve/")).map((r) => r.replace(/^.*\//, ""));
    assert.ok(asked.includes("model-00002-of-00002.safetensors"));
    assert.ok(!asked.includes("consolidated.safetensors"));
  });
});

test("what the hub refuses, and what cannot be loaded, is said in one line before weights are fetched", async () => {
  const files = filesOf(await writeSmallModel());
  const weights = (hub: Hub) => hub.requests.filter((r) => /resolve.*safetensors/.test(r));
  await withHub({ files }, async (_, options) => {
    await fails(
      resolveModel("org/none", options),
      /no model of that name and revision "main" \(404\); there is no/,
    );
  });
  await withHub({ files, token: "hf_secret" }, async (_, options) => {
    await fails(resolveModel("org/gated", options), /access is refused \(401\): set HF_TOKEN/);
    assert.ok(existsSync(await resolveModel("org/gated", { ...options, token: "hf_secret" })));
  });
  const config = { ...JSON.parse(new TextDecoder().decode(files["config.json"])), model_type: "mamba" };
  const strange = { ...files, "config.json": new TextEncoder().encode(JSON.stringify(config)) };
  await withHub({ files: strange }, async (hub, options) => {
    await fails(resolveModel("org/mamba", options), /mamba/);
    assert.deepEqual(weights(hub), []);
  });
  const { "model.safetensors": bytes, ...light } = files;
  await withHub({ files: { ...light, "pytorch_model.bin": bytes } }, async (_, options) => {
    await fails(
      resolveModel("org/pickled", options),
      /^Cannot load org\/pickled: it has no model\.safetensors, only pytorch_model\.bin, which must be converted first$/,
    );
  });
  await withHub({ files: light }, async (_, options) => {
    await fails(
      resolveModel("org/empty", options),
      /^Cannot download model\.safetensors of org\/empty: there is no such/,
    );
  });
});

test("no name of the server's leaves the cache", async () => {
  const files = filesOf(await writeSmallModel()), outside = freshPath();
  mkdirSync(outside);
  const evil = `../../../../../${outside.slice(1)}/model.safetensors`;
  const map = new TextEncoder().encode(JSON.stringify({ weight_map: { "model.norm.weight": evil } }));
  const { "model.safetensors": bytes, ...light } = files;
  const hostile = { ...light, "model.safetensors.index.json": map, [evil]: bytes, "../LICENSE": bytes };
  await withHub({ files: hostile }, async (_, options) => {
    await fails(resolveModel("org/evil", options), /must stay inside its folder$/);
    assert.deepEqual(readdirSync(outside), []);
    assert.deepEqual(readdirSync(options.cacheDirectory), ["models--org--evil"]);
    assert.ok(!existsSync(join(dirname(options.cacheDirectory), "LICENSE")));
  });
});
