/** OpenBLAS on a processor that is newer than its release: which kernels it is to take, and that it takes them. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { coreInstead, flagsIn, flagsOfLeaves, flagsOfSystem } from "../../lib/runtime/_openblas_core.ts";
import { findBlas } from "../../lib/runtime/native.ts";
import { commandOf, program, root } from "../_commands.ts";

const unknown = "OpenBLAS 0.3.21 DYNAMIC_ARCH NO_AFFINITY Prescott MAX_THREADS=64";
const avx2 = "fpu sse2 fma avx avx2", avx512 = `${avx2} avx512f avx512dq avx512cd avx512bw avx512vl`;
const of = (flags: string) => () => new Set(flags.split(" "));

test("kernels are chosen by what the processor has, only where OpenBLAS fell back and has others", () => {
  assert.equal(coreInstead(unknown, of(avx512)), "SkylakeX");
  assert.equal(coreInstead(unknown, of(avx2)), "Haswell");
  assert.equal(coreInstead(unknown, of(avx512.replace(" avx512vl", ""))), "Haswell"); // Knights Landing
  assert.equal(coreInstead(unknown, of("fpu sse2 avx avx2")), undefined); // no fma
  assert.equal(coreInstead(unknown, of("fpu sse2")), undefined);
  const looked = () => assert.fail("nobody asked");
  assert.equal(coreInstead(unknown.replace("Prescott", "Zen"), looked), undefined);
  assert.equal(coreInstead(unknown.replace(" DYNAMIC_ARCH", ""), looked), undefined);
  assert.equal(coreInstead("", looked), undefined); // another library
});

test("flags are read from /proc/cpuinfo and from glibc's words, what may not be used left out", () => {
  const file =
    "processor\t: 0\nflags\t\t: fpu avx2  fma\nbugs\t\t: spectre_v1\n\nprocessor\t: 1\nflags\t\t: other\n";
  assert.deepEqual([...flagsIn(file)], ["fpu", "avx2", "fma"]);
  assert.deepEqual([...flagsIn("Features\t: fp asimd\n")], []);
  // The words of a Xeon: bit 12 of ecx, bits 5, 16, 17, 28, 30 and 31 of ebx.
  const one = Uint32Array.of(0, 0, 1 << 12, 0, 0, 0, 0x7ed83203, 0),
    seven = Uint32Array.of(0, ~0, 0, 0, 0, 0xf1af0328, 0, 0);
  assert.deepEqual([...flagsOfLeaves([one, seven])].sort(), [
    ...["avx2", "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl", "fma"],
  ]);
  assert.deepEqual([...flagsOfLeaves([one, seven.map((word, i) => i < 4 ? word : 1 << 5)])].sort(), [
    "avx2",
    "fma",
  ]);
  assert.deepEqual([...flagsOfLeaves([new Uint32Array(8), new Uint32Array(8).fill(~0, 0, 4)])], []);
});

const { blas } = await findBlas();
const dynamic = process.platform === "linux" && /^OpenBLAS /.test(blas?.description ?? "");

test(
  "OpenBLAS never stays at a Prescott's kernels where there are better ones, and a core that is asked for stays",
  {
    skip: dynamic ? false : "no OpenBLAS on Linux",
  },
  async () => {
    const script = join(tmpdir(), `blas-${process.pid}.ts`),
      native = pathToFileURL(join(root, "lib/runtime/native.ts"));
    writeFileSync(
      script,
      `import { findBlas } from "${native}";\nimport { spawnSync } from "node:child_process";\n` +
        `const names = async () => (await findBlas()).blas.description;\n` +
        `const two = [await names(), await names()];\n` +
        `const child = spawnSync("sh", ["-c", "echo $OPENBLAS_CORETYPE"], { encoding: "utf8" }).stdout.trim();\n` +
        `console.log(JSON.stringify([...two, child]));\n`,
    );
    const namesOf = async (...environment: string[]) => {
      const { code, out, err } = await program("env", [...environment, ...commandOf(script)]);
      assert.equal(code, 0, err);
      return JSON.parse(out) as string[];
    };
    after(() => rmSync(script));
    const [asked, again, passedOn] = await namesOf("OPENBLAS_CORETYPE=Prescott");
    if (!/\(Prescott\)/.test(asked!)) return; // a build with other kernels alone
    assert.equal(again, asked);
    assert.equal(passedOn, "Prescott");
    const flags = flagsOfSystem(), [found, foundAgain, left] = await namesOf("-u", "OPENBLAS_CORETYPE");
    assert.equal(foundAgain, found);
    assert.equal(left, "");
    if (flags.has("avx2") && flags.has("fma")) assert.doesNotMatch(found!, /\(Prescott\)/);
  },
);
