import assert from "node:assert/strict";
import type { Tensor } from "../../lib/backend/device.ts";
import { read } from "../../lib/backend/tensors.ts";
import { packFlat, type TokenGroup } from "../../lib/model/packing.ts";
import { backward, forward, makeGradients, orderedLogprobs } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import type { Model } from "../../lib/model/model.ts";
import type { Objective } from "../../lib/objectives/objective.ts";
import {
  combine,
  findObjective,
  type ObjectiveOptions,
  resolveObjective,
} from "../../lib/objectives/objectives.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { accumulateGradients, type LossOptions, type TrainingGroup } from "../../lib/train/step.ts";
import { unlikelihood } from "../objectives/_unlikelihood.ts";
import { assertNoLeak, gaussian, onBothBackends, testDevice, upload } from "../_backends.ts";
import { parametersOf, setParameter, smallModel, tokenIds } from "../_models.ts";

type Named = Map<string, Float32Array>;

/** Fails unless |actual − expected| ≤ tolerance · largest |expected|, parameter by parameter. */
function assertRelative(actual: Named, expected: Named, tolerance: number): void {
  assert.deepEqual([...actual.keys()], [...expected.keys()]);
  for (const [name, want] of expected) {
    const got = actual.get(name)!, scale = want.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    assert.ok(scale > 0, `${name} has no gradient at all`);
    for (let i = 0; i < want.length; i++) {
      const off = Math.abs(got[i] - want[i]);
      assert.ok(
        off <= tolerance * scale,
        `${name}[${i}]: ${got[i]}, expected ${want[i]} ± ${tolerance * scale}`,
      );
    }
  }
}

async function readAll(tensors: ReadonlyMap<string, Tensor>): Promise<Named> {
  const values: Named = new Map();
  for (const [name, tensor] of tensors) values.set(name, Float32Array.from(await read(tensor)));
  return values;
}

/** Log-probs of groups in one flat batch, and the gradient of their sum weighted by `weightOf(group, candidate, token)`. */
async function passOver(
  model: Model,
  groups: readonly TokenGroup[],
  weightOf: (group: number, candidate: number, token: number) => number,
): Promise<{ logprobs: Float64Array; gradients: Named }> {
  const { decoder } = model, gradients = makeGradients(decoder);
  const batch = deviceBatch(decoder, groups), pass = forward(decoder, batch, { keep: "products" });
  const logprobs = await orderedLogprobs(pass, batch);
  const host = new Float32Array(logprobs.length);
  for (const { group, candidate, start, end } of batch.host.spans) {
    for (let i = start; i < end; i++) host[batch.labels.order[i]] = weightOf(group, candidate, i - start);
  }
  const weights = upload(host, [host.length]);
  backward(decoder, pass, { batch, weights, gradients });
  weights.dispose();
  batch.dispose();
  const values = await readAll(gradients);
  gradients.forEach((t) => t.dispose());
  return { logprobs, gradients: values };
}

onBothBackends(
  "k responses behind one prompt give what k sequences give, log-probs and gradients",
  async (backend) => {
    const model = await smallModel(backend);
    await assertNoLeak(async () => {
      const groups: TokenGroup[] = [
        { prompt: tokenIds(9, 1), responses: [7, 1, 12, 4].map((n, i) => tokenIds(n, 10 + i)) },
        { prompt: tokenIds(1, 2), responses: [5, 5].map((n, i) => tokenIds(n, 20 + i)) },
      ];
      const weights = [[0.3, -0.7, 0.2, -0.1], [1, -0.5]];
      const packed = await passOver(model, groups, (g, c) => weights[g][c]);
      const flat = groups.flatMap((g, i) =>
        g.responses.map((r, c) => ({ prompt: g.prompt, r, weight: weights[i][c] }))
      );
      // one sequence a batch
      let at = 0;
      const summed: Named = new Map();
      for (const { prompt, r, weight } of flat) {
        const alone = await passOver(model, [{ prompt, responses: [r] }], () => weight);
        alone.logprobs.forEach((want) => {
          const got = packed.logprobs[at++];
          assert.ok(Math.abs(got - want) <= 1e-4 * Math.abs(want), `label ${at - 1}: ${got}, alone ${want}`);
        });
        for (const [name, values] of alone.gradients) {
          const sum = summed.get(name) ?? new Float32Array(values.length);
          summed.set(name, sum.map((v, i) => v + values[i]));
        }
      }
      assert.equal(at, packed.logprobs.length);
      assertRelative(packed.gradients, summed, 1e-4);
    });
    model.dispose();
  },
);

/** A batch with uneven groups: one without candidates but its reference, one of one side, one with a one-token prompt. */
function batchOf(): TrainingGroup[] {
  const shapes: [prompt: number, responses: number[], correct: boolean[]][] = [
    [6, [5, 9, 3, 7], [true, false, true, false]],
    [3, [4], [true]],
    [1, [6, 2, 8], [true, false, false]],
    [4, [3, 5], [true, true]],
  ];
  return shapes.map(([prompt, lengths, correct], g) => ({
    id: `group-${g}`,
    tokens: {
      prompt: tokenIds(prompt, 30 + g),
      responses: lengths.map((n, i) => tokenIds(n, 40 + 7 * g + i)),
    },
    feedback: {
      correct,
      reference: 0,
      referenceLogprobs: lengths.map((n, i) => -5.5 * n - i),
    },
  }));
}

/** An objective with its defaults, but for what is said. */
function lossWith(choice: string | Objective, options: ObjectiveOptions = {}): LossOptions {
  const objective = findObjective(choice);
  return { objective, objectiveOptions: resolveObjective(objective, options) };
}

const losses: Record<string, LossOptions> = {
  vft: lossWith("vft"),
  rft: lossWith("rft"),
  "aft none": lossWith("aft"),
  "aft dc": lossWith("aft", { constraint: "dc" }),
  "aft bc": lossWith("aft", { constraint: "bc" }),
  dpo: lossWith("dpo"),
  rloo: lossWith("rloo"),
  "token by token": lossWith(unlikelihood),
  "a sum": lossWith(combine([{ objective: unlikelihood, weight: 0.5 }, { objective: "dpo-norm" }])),
};

async function stepOver(
  model: Model,
  groups: readonly TrainingGroup[],
  options: LossOptions & { microBatchTokens: number; keep: "inputs" | "products"; report?: boolean },
) {
  const gradients = makeGradients(model.decoder);
  const report = await accumulateGradients(model.decoder, groups, { report: true, ...options, gradients });
  const values = await readAll(gradients);
  gradients.forEach((t) => t.dispose());
  return { report, gradients: values };
}

onBothBackends("a step does not depend on micro-batches nor on what is kept", async (backend) => {
  const model = await smallModel(backend);
  await assertNoLeak(async () => {
    for (const [name, loss] of Object.entries(losses)) {
      const all = batchOf();
      // vft trains on references alone
      const groups = name === "vft"
        ? all.map((g) => ({ ...g, tokens: { ...g.tokens, responses: g.tokens.responses.slice(0, 1) } }))
        : all;
      const whole = await stepOver(model, groups, { ...loss, microBatchTokens: 4096, keep: "products" });
      assert.ok(Number.isFinite(whole.report.loss!) && whole.report.groups.length === groups.length);
      // 14 rows: the first group (26 rows) is cut between its candidates; 1: one candidate a micro-batch
      const cuts = [[4096, "inputs"], [14, "products"], [1, "inputs"]] as const;
      for (const [microBatchTokens, keep] of name === "aft bc" ? cuts : cuts.slice(0, 2)) {
        const cut = await stepOver(model, groups, { ...loss, microBatchTokens, keep });
        const where = `${name}, ${microBatchTokens} rows, ${keep}`;
        const near = (got: number, want: number) =>
          assert.ok(
            Math.abs(got - want) <= 1e-5 * Math.max(1, Math.abs(want)),
            `${where}: ${got}, whole ${want}`,
          );
        near(cut.report.loss!, whole.report.loss!);
        near(cut.report.objectiveLoss!, whole.report.objectiveLoss!);
        near(cut.report.vftLoss ?? 0, whole.report.vftLoss ?? 0);
        cut.report.groups.forEach((g, i) =>
          Array.from(g.scores).forEach((s, c) => near(s, whole.report.groups[i].scores[c]))
        );
        assert.equal(cut.report.responseTokens, whole.report.responseTokens);
        if (microBatchTokens === 1 && name !== "vft") assert.ok(cut.report.rows > whole.report.rows);
        assertRelative(cut.gradients, whole.gradients, 1e-5);
      }
    }
  });
  model.dispose();
});

onBothBackends("a step that reads no log-probs has the same gradient and no loss", async (backend) => {
  const model = await smallModel(backend);
  const groups = batchOf(), options = { ...losses.rft, keep: "products" as const };
  const loud = await stepOver(model, groups, { ...options, microBatchTokens: 4096 });
  const quiet = await stepOver(model, groups, { ...options, microBatchTokens: 14, report: false });
  assert.deepEqual([quiet.report.loss, quiet.report.groups.length], [undefined, 0]);
  assertRelative(quiet.gradients, loud.gradients, 1e-5);
  model.dispose();
});

onBothBackends(
  "the loss is the mean over tokens for vft and over questions for aft, by hand",
  async (backend) => {
    const model = await smallModel(backend), groups = batchOf().slice(0, 2);
    const logprobs: number[][] = [];
    for (const { tokens: { prompt, responses } } of groups) {
      const sums: number[] = [];
      for (const r of responses) {
        const all = await model.logprobs([...prompt, ...r]);
        sums.push(all.slice(prompt.length - 1).reduce((a, b) => a + b, 0));
      }
      logprobs.push(sums);
    }
    const near = (got: number, want: number) =>
      assert.ok(Math.abs(got - want) < 1e-4, `${got}, by hand ${want}`);
    const rft = await stepOver(model, groups, { ...losses.rft, microBatchTokens: 4096, keep: "products" });
    // 5 + 9 + 3 + 7 + 4 = 28 tokens, however they spread over questions
    near(rft.report.loss!, -logprobs.flat().reduce((a, b) => a + b, 0) / 28);
    const aft = await stepOver(model, groups, {
      ...losses["aft none"],
      microBatchTokens: 4096,
      keep: "products",
    });
    const [a, b, c, d] = logprobs[0].map((sum, i) => sum / [5, 9, 3, 7][i]), only = logprobs[1][0] / 4;
    const alignment = Math.log(1 + Math.exp(b - a) + Math.exp(b - c) + Math.exp(d - a) + Math.exp(d - c));
    near(aft.report.objectiveLoss!, alignment / 2); // the second question has no negative
    near(aft.report.vftLoss!, (-a - only) / 2);
    near(aft.report.loss!, (alignment - a - only) / 2);
    model.dispose();
  },
);

onBothBackends("an objective of each token weighs each token's label, by hand", async (backend) => {
  const model = await smallModel(backend), groups = batchOf().slice(0, 2);
  const tokens = await Promise.all(groups.map(async ({ tokens: { prompt, responses } }) => {
    const all: number[][] = [];
    for (const r of responses) {
      all.push([...(await model.logprobs([...prompt, ...r])).slice(prompt.length - 1)]);
    }
    return all;
  }));
  const correct = groups.map(({ feedback }) => feedback.correct!);
  const mean = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
  // Two questions: half of −1/T for a token of a right response, of p/(1 − p)/T for one of a wrong response.
  const { gradients: expected } = await passOver(model, groups.map((g) => g.tokens), (g, c, t) => {
    const of = tokens[g]![c]!, p = Math.exp(of[t]!);
    return (correct[g]![c] ? -1 : p / (1 - p)) / of.length / 2;
  });
  const loss = mean(
    groups.map((_, g) =>
      tokens[g]!.map((of, c) =>
        correct[g]![c] ? -mean(of) : -mean(of.map((lp) => Math.log(1 - Math.exp(lp))))
      )
        .reduce((a, b) => a + b, 0)
    ),
  );
  const got = await stepOver(model, groups, {
    ...losses["token by token"],
    microBatchTokens: 4096,
    keep: "products",
  });
  assert.ok(Math.abs(got.report.loss! - loss) < 1e-4, `${got.report.loss}, by hand ${loss}`);
  assertRelative(got.gradients, expected, 1e-4);
  assert.ok(got.report.groups.every((group) => group.tokens === undefined)); // what is kept to be logged stays small
  model.dispose();
});

onBothBackends(
  "finite differences of the aft loss agree with the whole model's gradient",
  async (backend) => {
    const model = await smallModel(backend, { scale: 6 }), groups = batchOf();
    const options = { ...losses["aft none"], microBatchTokens: 4096, keep: "products" as const };
    const { gradients } = await stepOver(model, groups, options), start = await parametersOf(model);
    // One direction in all parameters at once, and one in each kind alone, so that no kind hides behind another.
    const kinds = ["", "embedding", "norm1", "qkv", "output", "norm2", "gate_up", "down"];
    const lossAt = async (direction: Named, step: number) => {
      for (const [name, values] of start) {
        const along = direction.get(name);
        if (along) setParameter(model, name, values.map((v, i) => v + step * along[i]));
      }
      const scratch = makeGradients(model.decoder, () => false);
      const { loss } = await accumulateGradients(model.decoder, groups, {
        ...options,
        report: true,
        gradients: scratch,
      });
      return loss!;
    };
    for (const [seed, kind] of kinds.entries()) {
      const direction: Named = new Map();
      let expected = 0;
      for (const [name, values] of start) {
        if (!name.endsWith(kind)) continue;
        const random = gaussian(values.length, 100 + 31 * seed + direction.size),
          gradient = gradients.get(name)!;
        // Half random, half along the gradient: a random direction alone is almost orthogonal to it.
        const length = (v: Float32Array) => Math.sqrt(v.reduce((s, x) => s + x * x, 0));
        const [a, b] = [length(random), length(gradient)];
        direction.set(name, random.map((v, i) => v / a + gradient[i] / b));
        expected += direction.get(name)!.reduce((s, v, i) => s + v * gradient[i], 0);
      }
      assert.ok(direction.size > 0, kind);
      const step = 4e-3;
      const found = (await lossAt(direction, step) - await lossAt(direction, -step)) / (2 * step);
      assert.ok(
        Math.abs(found - expected) <= 1e-2 * Math.abs(expected),
        `${kind || "all"}: differences ${found}, gradient ${expected}`,
      );
      for (const [name, values] of start) if (direction.has(name)) setParameter(model, name, values);
    }
    model.dispose();
  },
);

onBothBackends("tensors and bytes are flat from step 10 to step 200", async (backend) => {
  const model = await smallModel(backend),
    optimizer = new Optimizer(model.decoder, {
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.1,
      clip: 1,
    });
  let at10 = { tensors: 0, used: 0, held: 0 };
  for (let step = 1; step <= 200; step++) {
    // 1 to 3 questions with prompts and responses of changing lengths: 4 to 29 rows, one WebGPU bucket
    const groups = Array.from({ length: 1 + step % 3 }, (_, g): TrainingGroup => ({
      id: `${step}/${g}`,
      tokens: {
        prompt: tokenIds(1 + (step + g) % 3, step),
        responses: [tokenIds(2 + step % 4, step + 1), tokenIds(1 + (step + g) % 4, step + 2)],
      },
      feedback: { correct: [true, false], reference: 0 },
    }));
    const report = await accumulateGradients(model.decoder, groups, {
      ...losses[step % 2 ? "aft dc" : "rft"],
      microBatchTokens: step % 20 === 7 ? 6 : 4096,
      keep: step % 3 === 0 ? "inputs" : "products",
      report: step % 10 === 0,
      gradients: optimizer.gradients,
    });
    const squares = optimizer.update(1e-3);
    if (step % 50 === 0) {
      assert.ok(Number.isFinite((await read(squares))[0]) && Number.isFinite(report.loss!));
    }
    squares.dispose();
    if (step % 10 > 0) continue;
    await testDevice().finish(); // buffers of work that is not submitted yet count as used
    const now = testDevice().use();
    if (step === 10) at10 = now;
    assert.equal(now.tensors, at10.tensors, `tensors at step ${step}`);
    assert.equal(now.used, at10.used, `bytes in use at step ${step}`);
    if (step === 200) {
      assert.ok(now.held <= at10.held * 1.5, `${now.held} bytes held, ${at10.held} at step 10`);
    }
  }
  optimizer.dispose();
  model.dispose();
});

onBothBackends("padding of a flat batch changes nothing", async (backend) => {
  const model = await smallModel(backend), group = { prompt: tokenIds(5, 3), responses: [tokenIds(4, 4)] };
  assert.equal(packFlat([group], () => 32).ids.length, 32);
  const batch = deviceBatch(model.decoder, [group]),
    pass = forward(model.decoder, batch, { keep: "nothing" });
  const got = await orderedLogprobs(pass, batch);
  pass.dispose();
  batch.dispose();
  // a batch that needs no padding on either backend: 8 + 24 = 32 rows
  const full = [group, { prompt: tokenIds(24, 5), responses: [] }];
  const other = deviceBatch(model.decoder, full);
  assert.equal(other.host.ids.length, 32);
  const second = forward(model.decoder, other, { keep: "nothing" });
  (await orderedLogprobs(second, other)).forEach((v, i) => assert.ok(Math.abs(v - got[i]) < 1e-5));
  second.dispose();
  other.dispose();
  model.dispose();
});
