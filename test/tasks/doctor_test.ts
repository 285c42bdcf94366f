import assert from "node:assert/strict";
import { test } from "node:test";
import { findAdapter } from "../../lib/backend/webgpu.ts";
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
