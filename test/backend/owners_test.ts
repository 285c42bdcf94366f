/** Whoever owns tensors frees them at the end of a `using` block. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodingLayout, spanLayout } from "../../lib/kernels/attention/span_layout.ts";
import { quantize } from "../../lib/kernels/product/quantize.ts";
import { linearLogprob, makeLabels } from "../../lib/kernels/vocabulary/linear_logprob.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { forward } from "../../lib/model/decoder.ts";
import { DecodingSession } from "../../lib/model/decoding.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { assertNoLeak, onBothBackends, testDevice, upload } from "../_backends.ts";
import { smallModel, tokenIds } from "../_models.ts";
import { root } from "../_commands.ts";
import { readSources } from "../house/_graph.ts";
import { undisposable } from "../house/_owners.ts";

const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 };
const decoding = {
  ...{ samples: 2, longestPrompt: 4, maxTokens: 3, temperature: 1, topK: 0, topP: 1 },
  ...{ drawable: 16, endTokens: [0], slots: 2 },
};

onBothBackends("each owner of tensors holds some, and none behind its `using` block", async (backend) => {
  using model = await smallModel(backend);
  const { decoder, device } = model, group = { prompt: tokenIds(4, 1), responses: [tokenIds(3, 2)] };
  const segments = [{ start: 0, end: 2, sharedStart: 0, sharedEnd: 0 }];
  using hidden = upload(new Float32Array(8), [2, 4]);
  using weight = upload(new Float32Array(12), [3, 4]);
  using labels = makeLabels(device, [[0, 1]]);
  using batch = deviceBatch(decoder, [group]);
  const owners: Readonly<Record<string, () => Disposable>> = {
    "a tensor": () => upload(new Float32Array(4), [4]),
    "a layout": () => spanLayout(segments, { rows: 2, device }),
    "a layout of decoding": () => decodingLayout(device, { spans: new Int32Array(4), keyRows: 1 }),
    labels: () => makeLabels(device, [[0, 1]]),
    "log-probs": () => linearLogprob(hidden, weight, { labels }),
    "a narrow matrix": () => quantize(device, new Float32Array(64), { shape: [2, 32], dtype: "int4" }),
    "a batch": () => deviceBatch(decoder, [group]),
    "a pass": () => forward(decoder, batch, { keep: "products" }),
    "a pass that scores": () => forward(decoder, batch, { keep: "nothing" }),
    "a decoding session": () => new DecodingSession(decoder, decoding),
    "an optimizer": () => new Optimizer(decoder, adamw),
  };
  for (const [name, make] of Object.entries(owners)) {
    const before = testDevice().use().tensors;
    await assertNoLeak(() => {
      using _owner = make();
      assert.ok(testDevice().use().tensors > before, `${name} holds nothing`);
    });
  }
});

test("everything in the library with a `dispose` ends with a `using` block too", () => {
  const library = [...readSources(root)].filter(([path]) => path.startsWith("lib/"));
  for (const [path, text] of library) assert.deepEqual(undisposable(path, text), [], path);
  const planted = (body: string) => undisposable("x.ts", body);
  assert.deepEqual(planted("export interface A { dispose(): void }"), ["A"]);
  assert.deepEqual(planted("class B { dispose() {} }"), ["B"]);
  assert.deepEqual(planted("interface C extends Owner { dispose(): void }"), []);
  assert.deepEqual(planted("class D { dispose() {} [Symbol.dispose]() {} }"), []);
});
