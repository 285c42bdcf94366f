import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { familyOf, mpiPaths, versionOf } from "../../lib/runtime/_mpi.ts";
import { alone, openWorld } from "../../lib/runtime/world.ts";
import { program, records, run } from "../_commands.ts";
import { launchers, mpirun, mpiTest } from "../_mpi.ts";

const script = "test/runtime/_world_program.ts";

for (const [family, ranks] of [["Open MPI", 2], ["MPICH", 3]] as const) {
  mpiTest(`${ranks} processes of ${family} speak to each other`, async () => {
    const { code, out, err } = await mpirun({ family, ranks }, [script]);
    assert.equal(code, 0, err);
    const said = records(out);
    assert.equal(said.length, ranks);
    said.forEach((rank, index) => {
      const { ticks, busy, runtime, description, ...rest } = rank;
      assert.equal(runtime, "Deno" in globalThis ? "deno" : "bun");
      assert.match(description, new RegExp(`^${family} \\d+\\.\\d+`));
      const { messages, ...same } = rest;
      assert.deepEqual(same, {
        rank: index,
        size: ranks,
        sum64: [ranks === 2 ? 3 : 6, ranks / 2], // 1 + 2 (+ 3); a half from each
        min: [-3, 1 - ranks],
        max: [ranks - 4, 0],
        largeIsSum: true,
        heard: '"from rank 0"',
        nothing: 0,
        long: true,
      });
      if (index > 0) assert.deepEqual(messages, [`"hello ${index}"`]);
      else {
        const others = Array.from({ length: ranks - 1 }, (_, i) => `${i + 1}: "I am ${i + 1}"`);
        assert.deepEqual(messages.sort(), others);
      }
      // 200 ms of waiting: timers run, and the core is free for most of it.
      assert.ok(ticks >= 10, `${ticks} turns of a timer of 5 ms`);
      assert.ok(busy < 150, `${busy} ms of computing`);
    });
  });
}

test("a process of its own, and one that mpirun -n 1 started, are a world of one that opens nothing", async () => {
  for (const env of [{}, { OMPI_COMM_WORLD_SIZE: "1", AFT_MPI: "/nowhere" }, { PMI_SIZE: "1" }]) {
    const { code, out, err } = await run(script, [], { env });
    assert.equal(code, 0, err);
    const [said] = records(out);
    assert.deepEqual([said.rank, said.size, said.description], [0, 1, "one process"]);
    assert.deepEqual([said.sum64, said.min, said.max], [[1, 0.5], [-3, 0], [-3, 0]]);
  }
  assert.equal(await openWorld(), alone);
});

test("a launcher without what joins its processes is told what to do", async () => {
  const told = async (env: Record<string, string>) => {
    const { code, err } = await run(script, [], { env });
    assert.notEqual(code, 0);
    return err.match(/InputError: (.*)|^(Cannot .*)/m)?.slice(1).find(Boolean) ?? err;
  };
  assert.match(
    await told({ OMPI_COMM_WORLD_SIZE: "2", AFT_MPI: "/nowhere/libmpi.so" }),
    /^Cannot join the 2 processes that mpirun of Open MPI started: there is no MPI library at \/nowhere\/libmpi\.so, which AFT_MPI names; apt install libopenmpi3, or dnf install openmpi$/,
  );
  assert.match(
    await told({ PMI_SIZE: "3", AFT_MPI: "/nowhere/libmpi.so" }),
    /^Cannot join the 3 processes that mpirun of MPICH started: .*apt install libmpich12, or dnf install mpich$/,
  );
  if ("Bun" in globalThis) {
    assert.equal(
      await told({ PMI_SIZE: "2", PMI_FD: "87" }),
      "Cannot join the 2 processes that mpirun of MPICH started: its connection (PMI_FD) is closed, as Bun closes it to " +
        "a script of package.json; give Bun the file itself",
    );
  }
  assert.match(
    await told({ PMI_SIZE: "2", AFT_MPI: "/usr/lib/x86_64-linux-gnu/libm.so.6" }),
    /^Cannot load the MPI library .*libm\.so\.6: .*MPI_Get_library_version/,
  );
  // Each task would think that it is alone, and write what all write.
  assert.match(
    await told({ SLURM_STEP_NUM_TASKS: "2", SLURM_PROCID: "1" }),
    /^Cannot join the 2 processes that srun started: Slurm does it by a plugin, pmi2 for MPICH or pmix for Open MPI; AFT_MPI=none keeps them apart$/,
  );
  const { code } = await run(script, [], { env: { PMI_SIZE: "2", PMI_RANK: "0", AFT_MPI: "none" } });
  assert.equal(code, 0, "AFT_MPI=none makes each a world of its own");
});

mpiTest("the library of another launcher is found out by the number of processes it knows of", async () => {
  const [launcher, ...words] = launchers.MPICH;
  const openMpi = mpiPaths(process.platform, "Open MPI").find((path) =>
    path.includes(process.arch === "x64" ? "x86_64" : "aarch64")
  );
  const deno = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const { code, err } = await program(launcher!, [...words, "-n", "2", process.execPath, ...deno, script], {
    env: { AFT_MPI: openMpi!, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
  });
  assert.notEqual(code, 0);
  assert.match(
    err,
    /Cannot join the 2 processes that mpirun of MPICH started: Open MPI \S+, \S+, knows of one alone; AFT_MPI names the library of the launcher/,
  );
});

test("what libraries say of themselves", () => {
  const openMpi = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4";
  const mpich = "MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7";
  const intel = "Intel(R) MPI Library 2021.11 for Linux* OS\n";
  assert.deepEqual([openMpi, mpich, intel, "LAM 7.1"].map(familyOf), [
    "Open MPI",
    "MPICH",
    "MPICH",
    undefined,
  ]);
  assert.deepEqual([openMpi, mpich].map(versionOf), ["Open MPI 4.1.4", "MPICH 4.0.2"]);
});

test("the launcher's family is looked for first, then the other", () => {
  const first = (family: "Open MPI" | "MPICH") => mpiPaths("linux", family)[0]!;
  assert.match(first("Open MPI"), /libmpi\.so\.40$/);
  assert.match(first("MPICH"), /libmpich\.so\.12$/);
  assert.deepEqual(mpiPaths("linux", "MPICH").toSorted(), mpiPaths("linux").toSorted());
  assert.deepEqual(mpiPaths("win32"), []);
});
