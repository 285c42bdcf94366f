/** The archive of `deno task pack`, unpacked and run where there is no network: `test:full` alone. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { at, root } from "../_commands.ts";

/** A user's own namespace, or root's where users may have none. */
const namespace = [["unshare", "-rn"], ["unshare", "-n"]].find(([command, ...options]) =>
  spawnSync(command!, [...options, "true"]).status === 0
);
const skip = !("Deno" in globalThis)
  ? "it is Deno that is packed"
  : namespace
  ? false
  : "this machine allows no network namespace (unshare -rn, unshare -n)";
if (skip !== false) console.log(`test/tools/pack_run_test.ts is skipped: ${skip}`); // not every runner says why

test(
  "unpacked elsewhere, it runs align without a network, from any folder, and writes nothing beside itself",
  {
    skip,
    timeout: 900_000,
  },
  async () => {
    const server = createServer().listen(0, "127.0.0.1");
    after(() => server.close());
    await once(server, "listening");
    const archive = at("aft.tar.gz"), place = at("elsewhere"), folder = join(place, "here");
    const packing = ["run", "-A", "--no-check", "tools/pack.ts", "--quiet", "--out", archive];
    const packed = spawnSync(process.execPath, packing, { cwd: root, encoding: "utf8" });
    assert.equal(packed.status, 0, packed.stderr);
    mkdirSync(folder, { recursive: true });
    assert.equal(spawnSync("tar", ["xzf", archive, "-C", place]).status, 0);
    const before = readdirSync(join(place, "aft"), { recursive: true }).length;
    // Nothing of this user's: no home, no cache, no variables.
    const env = { PATH: "/usr/bin:/bin", HOME: join(place, "home"), NO_COLOR: "1" };
    const [unshare, ...options] = namespace!;
    const started = (...command: string[]) =>
      spawnSync(unshare!, [...options, ...command], { cwd: folder, env, encoding: "utf8" });
    // What listens on this machine is reached from beside the namespace, and not from in it.
    const { port } = server.address() as { port: number };
    const connect = ["../aft/deno", "eval", `(await Deno.connect({ port: ${port} })).close()`] as const;
    const beside = spawnSync(connect[0], connect.slice(1), { cwd: folder, env, encoding: "utf8" });
    assert.equal(beside.status, 0, beside.stderr);
    const within = started(...connect);
    assert.match(within.stderr, /ConnectionRefused|NetworkUnreachable|unreachable/);

    const small = [
      "--limit",
      "2",
      "--test-limit",
      "2",
      "--backend",
      "wasm",
      "--epochs",
      "1",
      "--max-tokens",
      "16",
    ];
    const aligned = started("../aft/aft", "align", ...small, "--out", "run");
    assert.equal(aligned.status, 0, aligned.stderr);
    assert.match(readFileSync(join(folder, "run/report.html"), "utf8"), /aft-bc/);
    assert.ok(existsSync(join(folder, "run/aft-bc/model.safetensors")));
    const evaluated = started(
      "../aft/aft",
      "evaluate",
      "--model",
      "run/aft-bc",
      "--data",
      "arithmetic:test",
      "--limit",
      "2",
      "--max-tokens",
      "8",
    );
    assert.equal(evaluated.status, 0, evaluated.stderr);
    assert.equal(JSON.parse(evaluated.stdout).questions, 2);
    // A node whose home cannot be written.
    const nowhere = spawnSync(unshare!, [
      ...options,
      "../aft/aft",
      "data",
      "arithmetic",
      "--limit",
      "1",
    ], {
      cwd: folder,
      env: { ...env, HOME: "/nonexistent", DENO_DIR: "/proc/nowhere" },
      encoding: "utf8",
    });
    assert.equal(nowhere.status, 0, nowhere.stderr);
    assert.equal(JSON.parse(nowhere.stdout).id, "arithmetic-train-0");
    assert.equal(readdirSync(join(place, "aft"), { recursive: true }).length, before);
  },
);
