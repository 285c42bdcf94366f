import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { findAdapter, identityOf } from "../../lib/backend/webgpu.ts";
import { writeTable } from "../../lib/kernels/product/tile_table.ts";
import { base, lines, records, root, run } from "../_commands.ts";
import { mpirun, mpiTest } from "../_mpi.ts";

const { adapter, description, isCpu } = await findAdapter();

test("doctor says what is here, for people and as JSON", async () => {
  const [page, json] = await Promise.all([run("doctor", []), run("doctor", ["--json"])]);
  assert.deepEqual([page.code, page.err, json.code, json.err], [0, "", 0, ""]);
  const [report] = records(json.out);
  const { name, version } = report.runtime;
  assert.ok(page.out.startsWith(`runtime`) && page.out.includes(`${name} ${version}`));
  for (const head of ["machine", "adapter", "BLAS", "--backend auto", "MPI", "world"]) {
    assert.match(page.out, new RegExp(`^${head} +\\S`, "m"));
  }
  assert.equal(report.adapter === null, adapter === undefined);
  if (adapter) {
    assert.deepEqual([report.adapter.description, report.adapter.isCpu], [description, isCpu]);
    assert.equal(report.adapter.limits.maxBufferSize, adapter.limits.maxBufferSize);
    assert.match(page.out, /^ +maxStorageBufferBindingSize +\d+ MiB$/m);
  } else assert.match(page.out, /^hint: no WebGPU adapter: .*install|update/m);
  assert.ok(report.backend.startsWith(adapter && !isCpu ? "webgpu" : "wasm"));
  assert.deepEqual(report.world, { size: 1, description: "one process" });
  for (const { version, path } of report.mpi) assert.ok(page.out.includes(`${version}, ${path}`), page.out);
  if (!report.blas) assert.match(page.out, /^BLAS +none: /m);

  const without = await run("doctor", [], { env: { AFT_BLAS: "none" } });
  assert.match(without.out, /^BLAS +none: switched off by AFT_BLAS=none$/m);
  assert.equal(without.code, 0);
});

test("doctor names an MPI library that cannot serve, and what to install where there is none", async () => {
  const [broken, none] = await Promise.all([
    run("doctor", [], { env: { AFT_MPI: root + "README.md" } }),
    run("doctor", [], { env: { AFT_MPI: "/nowhere/libmpi.so" } }),
  ]);
  assert.match(broken.out, /^MPI +Cannot load the MPI library .*README\.md: /m);
  assert.match(
    none.out,
    /^MPI +none: for several processes, apt install libopenmpi3, or dnf install openmpi$/m,
  );
  assert.deepEqual([broken.code, none.code], [0, 0]);
});

mpiTest("doctor under mpirun says what joins its processes", async () => {
  const { code, out, err } = await mpirun({ family: "MPICH", ranks: 2 }, ["doctor"]);
  assert.equal(code, 0, err);
  assert.match(out, /^MPI +Open MPI \d\S+, \/\S+\n +MPICH \d\S+, \/\S+$/m);
  assert.match(out, /^world +2 processes, joined by MPICH \d/m);
  assert.equal(out.match(/^runtime/gm)!.length, 1);
});

test("a table of tiles is shown and used; that of another driver is named in one line", {
  skip: adapter ? false : "no WebGPU adapter on this machine",
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "aft-tiles-")), env = { AFT_CACHE: folder };
  try {
    const none = await run("doctor", [], { env });
    assert.match(
      none.out,
      /^ {2}products +as built in: (a CPU is measured by --retune alone|the first task .*)$/m,
    );
    const before = process.env.AFT_CACHE;
    process.env.AFT_CACHE = folder;
    const cut = { tileM: 64, tileN: 64, blockM: 4, blockN: 4, fill: 0 };
    const path = await writeTable(identityOf(adapter!), {
      kinds: new Map([["forward", { cut, before: 3, after: 2 }]]),
      left: ["dw"],
    });
    if (before === undefined) delete process.env.AFT_CACHE;
    else process.env.AFT_CACHE = before;
    const [page, json, off] = await Promise.all([
      run("doctor", [], { env }),
      run("doctor", ["--json"], { env }),
      run("doctor", [], { env: { ...env, AFT_TUNE: "off" } }),
    ]);
    assert.ok(page.out.includes(`measured: ${path}`), page.out);
    assert.match(page.out, /^ {4}forward +tiles 64×64 of 4×4: 1\.50× as fast as built in$/m);
    assert.match(page.out, /^ {4}dw +the time was up: as built in$/m);
    assert.deepEqual(records(json.out)[0].adapter.products, {
      table: path,
      kinds: { forward: { cut, before: 3, after: 2 } },
      left: ["dw"],
    });
    assert.match(off.out, /^ {2}products +as built in: switched off by AFT_TUNE=off$/m);

    const question = "What is 12 + 30? ".repeat(12); // more rows than 64
    const input = lines([{ id: "a", question, reference: "#### 42", candidates: [{ text: "#### 42" }] }]);
    const score = async (env: Record<string, string>) => {
      const { code, out, err } = await run("score", ["--model", base, "--backend", "webgpu"], { env, input });
      assert.equal(code, 0, err);
      return { score: records(out)[0].candidates[0].score as number, err };
    };
    const tuned = await score(env), plain = await score({ ...env, AFT_TUNE: "off" });
    assert.ok(Math.abs(tuned.score - plain.score) < 1e-4, `${tuned.score} ${plain.score}`);
    assert.doesNotMatch(tuned.err, /tiles/);
    if (!isCpu) return; // there it would be measured again
    const table = JSON.parse(await readFile(path, "utf8"));
    table.key.description = "another driver";
    await writeFile(path, JSON.stringify(table));
    const other = await score(env);
    assert.equal(other.score, plain.score);
    assert.equal(
      other.err.split("\n").filter((line) => line.includes(path)).length,
      1,
      other.err,
    );
    assert.match(
      other.err,
      /^score: Cannot use the tiles in .*: it is of description "another driver", here is ".*"; products stay as they are built in$/m,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test(
  "doctor --retune without a GPU is wrong usage",
  { skip: adapter ? "there is an adapter" : false },
  async () => {
    const { code, out, err } = await run("doctor", ["--retune"]);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /found no adapter/);
  },
);

const skip = !adapter
  ? "no WebGPU adapter on this machine"
  : !adapter.features.has("timestamp-query")
  ? "the adapter has no timestamp-query"
  : false;
test("--profile on WebGPU: times of the device", { skip }, async () => {
  const input = lines([{
    id: "a",
    question: "1 + 1?",
    reference: "#### 2",
    candidates: [{ text: "#### 3" }],
  }]);
  const args = ["--model", base, "--backend", "webgpu", "--profile", "--quiet"];
  const { code, out, err } = await run("score", args, { input });
  assert.equal(code, 0, err);
  assert.ok(records(out)[0].candidates[0].score < 0);
  const rows = err.split("\n").map((line) => line.split(/ {2,}/));
  const kernels = rows.filter(([name, launches, ms]) =>
    /^\w/.test(name) && Number(launches) > 0 && Number(ms) >= 0
  );
  const total = kernels.pop()!;
  assert.equal(total[0], "all");
  // Every launch was timed (readbacks are none), and together they took no longer than the task.
  const names = kernels.map(([name]) => name);
  for (const kernel of ["embedding", "rms_norm", "rope", "swiglu", "span_attention", "gemm"]) {
    assert.ok(names.some((name) => name.includes(kernel)), `${kernel} in\n${err}`);
  }
  assert.ok(Number(total[2]) > 0 && Number(total[4]) <= 100, err);
});
