/** What a task may do: deno.json's permission sets, as written and as Deno enforces them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { mpiPaths } from "../../lib/runtime/_mpi.ts";
import { DAWN_PATHS } from "../../lib/runtime/gpu.ts";
import { BLAS_PATHS } from "../../lib/runtime/native.ts";
import { root, write } from "../_commands.ts";

const { tasks, permissions } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as {
  tasks: Record<string, { command: string }>;
  permissions: Record<string, Record<string, unknown>>;
};

/** What a user runs; the other tasks are for whoever works on the project. */
const network = [
  ...["vft", "generate", "score", "ca-align", "ask", "evaluate", "align", "study", "data", "merge"],
];
const local = ["doctor", "make-base", "gpu-report"];

test("a user's task may load the BLAS and MPI libraries that are looked for, Dawn and no others, and run no program", () => {
  const mpi = ["linux", "darwin"].map((system) => mpiPaths(system));
  const ffi = [...[...Object.values(BLAS_PATHS), ...mpi].flat(), ...DAWN_PATHS];
  assert.deepEqual(permissions, { compute: { read: true, write: true, env: true, sys: true, ffi } });
  for (const name of network) {
    assert.equal(
      tasks[name].command,
      `deno run -q --no-prompt -P=compute --allow-net tasks/${name.replaceAll("-", "_")}.ts`,
      name,
    );
  }
  for (const name of local) {
    const folder = name === "doctor" ? "tasks" : "tools", file = name.replaceAll("-", "_");
    assert.equal(tasks[name].command, `deno run -q --no-prompt -P=compute ${folder}/${file}.ts`, name);
  }
  // The socket of an output's lock is network to Deno; nothing is computed.
  assert.equal(
    tasks["merge-shards"].command,
    "deno run -q --no-prompt --allow-read --allow-write --allow-env --allow-sys --allow-net tasks/merge_shards.ts",
  );
  assert.equal(tasks.table.command, "deno run -q --no-prompt --allow-read --allow-env tasks/table.ts");
});

test("Dawn's version in the permission to load it is the package's", () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const path of DAWN_PATHS) assert.ok(path.includes(`/webgpu@${dependencies.webgpu}/`), path);
});

test("what is not permitted fails, without a question", { skip: !("Deno" in globalThis) }, () => {
  const script = write(
    "permissions.ts",
    `const may = (wanted: Deno.PermissionDescriptor) => Deno.permissions.querySync(wanted).state === "granted";
const tried = (what: () => unknown) => {
  try {
    what();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
};
console.log(JSON.stringify({
  read: may({ name: "read" }), write: may({ name: "write" }), env: may({ name: "env" }), sys: may({ name: "sys" }),
  net: may({ name: "net" }), run: may({ name: "run" }), ffi: may({ name: "ffi" }),
  blas: ${JSON.stringify(BLAS_PATHS.linux)}.every((path) => may({ name: "ffi", path })),
  library: tried(() => Deno.dlopen("/usr/lib/libother.so", {})),
  program: tried(() => new Deno.Command("true").outputSync()),
}));
`,
  );
  for (const net of [true, false]) {
    const words = tasks[net ? "vft" : "doctor"].command.split(" ").slice(1, -1);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...words, "--no-check", "--config", join(root, "deno.json"), script],
      { encoding: "utf8", timeout: 60_000 },
    );
    assert.equal(status, 0, stderr);
    assert.equal(stderr, ""); // Deno's warning that permission sets are new is not the task's: -q
    assert.deepEqual(JSON.parse(stdout), {
      read: true,
      write: true,
      env: true,
      sys: true,
      net,
      run: false,
      ffi: false,
      blas: true,
      library: "NotCapable",
      program: "NotCapable",
    });
  }
});
