/** What is not a run's own stays: photos beside it, what links lead to, another run's folder. */

import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, root, run, send } from "../_commands.ts";

const quick = ["--backend", "wasm", "--quiet"];
const train = [
  ...quick,
  "--model",
  base,
  "--data",
  "arithmetic",
  "--limit",
  "8",
  "--log-every",
  "1",
  "--steps",
  "2",
];

/** Puts what nobody else wrote into a folder, and returns a check that it is still there. */
function keep(folder: string): () => void {
  const elsewhere = `${folder}-elsewhere`;
  mkdirSync(join(folder, "holiday"), { recursive: true });
  mkdirSync(elsewhere, { recursive: true });
  writeFileSync(join(folder, "holiday", "photo.jpg"), "sea");
  writeFileSync(join(folder, "photo.jpg"), "mountain");
  writeFileSync(join(elsewhere, "state.json"), "precious");
  const link = join(folder, "checkpoints");
  rmSync(link, { recursive: true, force: true });
  symlinkSync(elsewhere, link);
  return () => {
    assert.equal(readFileSync(join(folder, "holiday", "photo.jpg"), "utf8"), "sea");
    assert.equal(readFileSync(join(folder, "photo.jpg"), "utf8"), "mountain");
    assert.equal(readFileSync(join(elsewhere, "state.json"), "utf8"), "precious");
  };
}

test("--overwrite of a training and of a merge removes what they wrote, and nothing beside it", async () => {
  const out = at("kept-run");
  assert.equal((await run("vft", [...train, "--out", out])).code, 0);
  writeFileSync(join(out, "evaluation.json"), "{}");
  const kept = keep(out);
  const again = await run("vft", [...train, "--lora", "r=2", "--out", out, "--overwrite"]);
  assert.deepEqual([again.code, again.err], [0, ""]);
  kept();
  assert.ok(existsSync(join(out, "adapter_config.json")));
  for (const old of ["config.json", "model.safetensors", "evaluation.json", "run.lock", "checkpoints"]) {
    assert.ok(!existsSync(join(out, old)), old);
  }
  const merged = at("kept-merge");
  cpSync(join(root, base), merged, { recursive: true });
  const keptToo = keep(merged);
  const words = ["--adapter", out, "--out", merged, ...quick];
  assert.equal((await run("merge", words)).code, 1);
  keptToo();
  assert.deepEqual(await run("merge", [...words, "--overwrite"]), { code: 0, out: "", err: "" });
  keptToo();
  assert.ok(existsSync(join(merged, "model.safetensors")));
  assert.deepEqual(readdirSync(at(".")).filter((name) => name.startsWith(".")), []);
});

test("--overwrite of align leaves what others keep in its folder and in its models'", async () => {
  const out = at("kept-align");
  const words = [
    ...quick,
    ..."--limit 4 --test-limit 2 --epochs 1 --align-epochs 1 --samples 2 --votes 0 --max-tokens 8 --constraints dc"
      .split(" "),
    "--out",
    out,
  ];
  assert.equal((await run("align", words)).code, 0);
  const kept = [keep(out), keep(join(out, "vft")), keep(join(out, "mine"))];
  const again = await run("align", [...words, "--overwrite"]);
  assert.equal(again.code, 0, again.err);
  kept.forEach((check) => check());
  assert.ok(existsSync(join(out, "report.html")) && existsSync(join(out, "vft", "config.json")));
});

test("a folder that is a link is replaced as a link; what it led to stays", async () => {
  const target = at("kept-target"), out = at("kept-link");
  assert.equal((await run("vft", [...train, "--out", target])).code, 0);
  symlinkSync(target, out);
  const before = readdirSync(target);
  assert.equal((await run("vft", [...train, "--out", out, "--overwrite"])).code, 0);
  assert.deepEqual(readdirSync(target), before);
  assert.ok(existsSync(join(out, "config.json")));
});

test("of two runs on one --out the second is refused; a killed one locks nothing", async () => {
  const out = at("kept-locked"), long = [...train.slice(0, -1), "100000", "--save-every", "2", "--out", out];
  const refusals: Promise<{ code: number | null; err: string }>[] = [];
  const first = await run("vft", long, {
    onOutput(child, text) {
      if (refusals.length > 0 || text.split("\n").length < 6) return;
      refusals.push(...[[], ["--overwrite"], ["--resume"]].map((more) => run("vft", [...long, ...more])));
      Promise.all(refusals).then(() => send(child, "SIGKILL"));
    },
  });
  assert.equal(first.code, null);
  for (const { code, err } of await Promise.all(refusals)) {
    assert.equal(code, 2);
    assert.match(
      err,
      /^vft: Cannot write \S+kept-locked: another run writes there \(process \d+ on \S+\)\n$/,
    );
  }
  assert.ok(existsSync(join(out, "run.lock")));
  let sent = false;
  const resumed = await run("vft", [...long, "--resume"], {
    onOutput(child, text) {
      if (!sent && text.includes("\n")) sent = send(child, "SIGTERM");
    },
  });
  assert.equal(resumed.code, 130, resumed.err);
  assert.ok(!existsSync(join(out, "run.lock")));
  const replaced = await run("vft", [...train, "--out", out, "--overwrite"]);
  assert.deepEqual([replaced.code, replaced.err], [0, ""]);
});

test("links in a model's folder that lead out of it are not copied into what is trained from it", async () => {
  const model = at("kept-model"), secret = at("secret");
  cpSync(join(root, base), model, { recursive: true });
  writeFileSync(secret, "my key");
  writeFileSync(join(model, "terms"), "free");
  symlinkSync(secret, join(model, "LICENSE"));
  symlinkSync("../secret", join(model, "LICENSE.txt"));
  symlinkSync("terms", join(model, "NOTICE"));
  symlinkSync("/nowhere", join(model, "NOTICE.md"));
  const out = at("kept-trained"), words = train.map((word) => word === base ? model : word);
  const { code, err } = await run("vft", [...words, "--out", out]);
  const line = (name: string, why: string) => `vft: Left out ${join(model, name)}: ${why}\n`;
  assert.deepEqual([code, err], [
    0,
    line("LICENSE", "it is a link that leads out of its folder") +
    line("LICENSE.txt", "it is a link that leads out of its folder") +
    line("NOTICE.md", "it is a link to nothing"),
  ]);
  assert.deepEqual(readdirSync(out).filter((name) => /^(LICENSE|NOTICE)/.test(name)), ["NOTICE"]);
  assert.equal(readFileSync(join(out, "NOTICE"), "utf8"), "free");
});
