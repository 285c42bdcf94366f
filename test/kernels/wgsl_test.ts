/** What compilers of other systems choke on is in no program: the text of each is looked at as it is compiled. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findAdapter, openWebgpu } from "../../lib/backend/webgpu.ts";
import { kernels } from "../../tools/gpu/kernels.ts";
import { checkedShapes, quickShape } from "../../tools/gpu/shapes.ts";

const { adapter } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";

/** Indices into vectors that are no constants, and uniform loads without barriers of their own around them. */
function faults(source: string): string[] {
  const found: string[] = [];
  const text = source.replace(/\/\/[^\n]*/g, "");
  const bound = [...text.matchAll(/var<[^>]*> (\w+): array</g)].map(([, name]) => name!);
  const vectors = [
    ...text.matchAll(/\b(?:let|var)\s+(\w+)\s*(?::\s*vec\d<[^>]*>|=\s*vec\d\b)/g),
    ...text.matchAll(/\b(\w+)\s*:\s*vec\d<\w+>\s*[,)]/g),
  ].map(([, name]) => name!).filter((name) => !bound.includes(name));
  for (const name of new Set(vectors)) {
    for (const [use] of text.matchAll(new RegExp(`(?<![\\w.])${name}\\[(?!\\d+u?\\])[^\\]]*\\]`, "g"))) {
      found.push(use);
    }
  }
  const arrays = [...text.matchAll(/\b(\w+)\s*(?::|=)\s*array<vec\d<\w+>/g)].map(([, name]) => name!);
  for (const name of new Set(arrays)) {
    // The inner brackets of an index hold no brackets in these programs.
    for (const [use] of text.matchAll(new RegExp(`\\b${name}\\[[^\\[\\]]*\\]\\[(?!\\d+u?\\])`, "g"))) {
      found.push(use);
    }
  }
  for (const [use] of text.matchAll(/[^\n]*\n[^\n]*workgroupUniformLoad[^\n]*\n[^\n]*/g)) {
    const [before, , after] = use.split("\n");
    if (!before!.includes("workgroupBarrier();") || !after!.includes("workgroupBarrier();")) found.push(use);
  }
  return found;
}

test("faults are found, and what is none is not", () => {
  assert.deepEqual(faults("var v = vec4<f32>(); for (;;) { v[i] = 1.0; }"), ["v[i]"]);
  assert.deepEqual(faults("fn f(v: vec4<f32>, j: u32) -> f32 { return v[j]; }"), ["v[j]"]);
  assert.deepEqual(faults("var b = array<vec4<f32>, 4>(); x = b[i / 4u][j];"), ["b[i / 4u]["]);
  assert.deepEqual(faults("var<workgroup> b: array<vec4<f32>, 2>; b[lane / 4u][lane % 4u] = x;"), [
    "b[lane / 4u][",
  ]);
  assert.deepEqual(
    faults("let v = vec4(1.0); x = v[3] + v[0u]; var a: array<f32, 4>; a[i] = v.x; b[i][2u];"),
    [],
  );
  assert.equal(faults("x();\nlet a = workgroupUniformLoad(&b);\ny();").length, 1);
  assert.deepEqual(faults("workgroupBarrier();\nlet a = workgroupUniformLoad(&b);\nworkgroupBarrier();"), []);
});

/** A program with the same bindings that does nothing: compiled in a moment. */
function withoutWork(source: string): string {
  const bindings = source.match(/^@group\(0\) .*$/gm)!, [params] = source.match(/^struct Params \{[^}]*\}/m)!;
  const arrays = bindings.flatMap((line) => /var<storage, \w+> (\w+)/.exec(line)?.[1] ?? []);
  return `${params}\n${bindings.join("\n")}
@compute @workgroup_size(1) fn main() { _ = params; ${
    arrays.map((name) => `_ = arrayLength(&${name});`).join(" ")
  } }`;
}

test(
  "no program indexes a vector at run time, or relies on the barriers of a uniform load",
  { skip },
  async () => {
    const device = await openWebgpu("asked for"), { gpu } = device, sources = new Map<string, string>();
    const create = gpu.createShaderModule.bind(gpu);
    gpu.createShaderModule = ({ label, code }: GPUShaderModuleDescriptor) => {
      sources.set(label!, code);
      return create({ code: withoutWork(code) });
    };
    for (const shape of [...checkedShapes, quickShape]) {
      for (const kernel of kernels) {
        const prepared = kernel.prepare(device, shape);
        prepared.call().forEach((tensor) => tensor.dispose());
        prepared.dispose();
      }
    }
    await device.finish();
    assert.ok(sources.size > 100, `${sources.size} programs`);
    for (const [name, source] of sources) assert.deepEqual(faults(source), [], name);
  },
);
