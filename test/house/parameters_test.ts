/** At most three parameters by their place, then one object that names the rest. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../_commands.ts";
import { readSources } from "./_graph.ts";
import { longLists } from "./_parameters.ts";

/** Functions whose order of parameters is another's: file and name, and whose. */
const exceptions: Readonly<Record<string, string>> = {
  "lib/backend/webgpu.ts acquireBuffer": "TF.js's own",
  "lib/runtime/native.ts Sgemm": "CBLAS's",
  "lib/runtime/native.ts rowMajor": "CBLAS's, called by the million",
  "lib/backend/_native_product.ts nativeProduct": "CBLAS's",
  "lib/kernels/product/_sgemm.ts callsOf": "CBLAS's",
  "lib/kernels/product/_sgemm.ts sharedOut": "CBLAS's",
  "lib/data/embedded/_grammar.ts step": 'a calculation as one writes it: step(a, "+", b, "dollars")',
};

test("no function takes more than three parameters by their place, but those that follow another's order", () => {
  const found = [...readSources(root)].flatMap(([path, text]) => longLists(path, text, 3));
  const named = new Set(found.map(({ path, name }) => `${path} ${name}`));
  const others = found.filter(({ path, name }) => !Object.hasOwn(exceptions, `${path} ${name}`));
  assert.deepEqual(others.map(({ path, line, name, count }) => `${path}:${line} ${name}: ${count}`), []);
  for (const name of Object.keys(exceptions)) assert.ok(named.has(name), `${name} is no exception any more`);
});

test("each kind of function is counted, under the name it goes by", () => {
  const text = `function a(x, y, z, w) {}
const b = (x, y, z, w = 1) => 0;
class C { constructor(readonly x: 1, y: 2, z: 3, w: 4) {} d(x, y, z, ...w) {} fine(x, y, z) {} }
interface E { f(x: 1, y: 2, z: 3, w?: 4): void; g: (x: 1, y: 2, z: 3, w: 4) => void }
type H = (x: 1, y: 2, z: 3, w: 4, v: 5) => void;
const i = { j(x, y, z, w) {} }; call((x, y, z, w) => 0); function k(this: 1, x, y, z) {}
function l() { return (x, y, z, w) => 0; }
function m({ x, y, z, w }, [p, q, r, s]) {}`;
  const found = longLists(join("lib", "x.ts"), text, 3).map(({ line, name, count }) =>
    `${line} ${name} ${count}`
  );
  assert.deepEqual(found, [
    "1 a 4",
    "2 b 4",
    "3 C.constructor 4",
    "3 C.d 4",
    "4 E.f 4",
    "4 g 4",
    "5 H 5",
    "6 j 4",
    "6 (arrow) 4",
    "7 l 4",
  ]);
});
