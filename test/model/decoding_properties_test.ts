import assert from "node:assert/strict";
import type { Problem } from "../../lib/data/records.ts";
import { DecodingSession, type Sampled, type SampleRequest } from "../../lib/model/decoding.ts";
import { generate, type GenerateOptions } from "../../lib/model/generate.ts";
import type { Model } from "../../lib/model/model.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { assertNoLeak, onBothBackends, testDevice } from "../_backends.ts";
import { collect, smallModel, tokenIds } from "../_models.ts";

interface Setting {
  readonly slots: number;
  readonly block: number;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly endTokens?: readonly number[];
  readonly samples?: number;
}

/** Decodes all requests in one session, admitting the next whenever places are free; results in request order. */
async function decode(
  model: Model,
  requests: readonly SampleRequest[],
  { slots, block, maxTokens = 10, temperature = 0, topK = 0, topP = 1, endTokens = [], samples = 1 }: Setting,
): Promise<{ results: Sampled[][]; most: number }> {
  const session = new DecodingSession(model.decoder, {
    temperature,
    topK,
    topP,
    maxTokens,
    endTokens,
    slots,
    block,
    samples,
    longestPrompt: Math.max(...requests.map((r) => r.prompt.length)),
  });
  const results: Sampled[][] = [];
  let next = 0, most = 0;
  while (next < requests.length || session.live > 0) {
    const index = next;
    if (next < requests.length && session.tryAdmit(requests[index], (r) => results[index] = r)) {
      next++;
      continue;
    }
    most = Math.max(most, session.live);
    await session.advance();
  }
  session.dispose();
  return { results, most };
}

/** Greedy continuation by a full forward pass a token: what a cache must not change. */
async function recomputed(
  model: Model,
  prompt: readonly number[],
  { maxTokens, endTokens }: { maxTokens: number; endTokens: readonly number[] },
): Promise<Sampled> {
  const ids: number[] = [], v = model.config.vocabularySize;
  while (ids.length < maxTokens) {
    const all = [...prompt, ...ids], last = (await model.logits(all)).slice((all.length - 1) * v);
    let best = 0;
    last.forEach((x, i) => best = x > last[best] ? i : best);
    if (endTokens.includes(best)) return { ids, finish: "stop" };
    ids.push(best);
  }
  return { ids, finish: "length" };
}

const prompts = [7, 1, 12, 3, 1, 9].map((n, i) => tokenIds(n, 60 + i));

onBothBackends("cached greedy decoding agrees with a full forward pass for each token", async (backend) => {
  // A tied head of random weights only repeats its input.
  const model = await smallModel(backend, { config: { tie_word_embeddings: false } });
  await assertNoLeak(async () => {
    const free = await decode(model, prompts.map((prompt) => ({ prompt, streams: [0] })), {
      slots: 8,
      block: 4,
    });
    // Tokens that some sequences reach early end them: their places are then refilled while others go on.
    const endTokens = [free.results[0][0].ids[2], free.results[3][0].ids[4]];
    const want: Sampled[] = [];
    for (const prompt of prompts) want.push(await recomputed(model, prompt, { maxTokens: 10, endTokens }));
    assert.deepEqual(new Set(want.map((s) => s.finish)), new Set(["stop", "length"]), "both ends occur");
    assert.ok(want.some((s) => new Set(s.ids).size > 5), "the model does not only repeat itself");
    const requests = prompts.map((prompt) => ({ prompt, streams: [0, 0] })); // two equal samples
    for (const [slots, block] of [[2, 1], [5, 16], [12, 3]]) {
      const { results, most } = await decode(model, requests, { slots, block, endTokens, samples: 2 });
      assert.equal(most, 2 * Math.min(6, Math.floor(slots / 2)), "live sequences");
      results.forEach((samples, i) => {
        assert.equal(samples.length, 2);
        for (const sample of samples) {
          assert.deepEqual(sample, want[i], `prompt ${i}, ${slots} slots, block ${block}`);
        }
      });
    }
  });
  model.dispose();
});

onBothBackends("a sample depends on its prompt and stream alone", async (backend) => {
  const model = await smallModel(backend, { scale: 5 });
  await assertNoLeak(async () => {
    const requests = prompts.map((prompt, i) => ({ prompt, streams: [100 + i, 200 + i, 300 + i] }));
    for (const cut of [{ topK: 0, topP: 1 }, { topK: 20, topP: 0.9 }]) {
      const setting = { temperature: 0.9, samples: 3, endTokens: [...Array(20).keys()], ...cut };
      const { results } = await decode(model, requests, { ...setting, slots: 18, block: 5 });
      const texts = new Set(results.flat().map((s) => s.ids.join()));
      assert.ok(texts.size > 12, `${texts.size} different samples of 18`);
      assert.ok(
        results.flat().some((s) => s.finish === "stop") && results.flat().some((s) => s.finish === "length"),
      );
      for (const [slots, block] of [[3, 1], [7, 16]]) {
        const again = await decode(model, requests, { ...setting, slots, block });
        assert.deepEqual(again.results, results, `${slots} slots, block ${block}`);
      }
      // alone, and in another order
      const single = await decode(model, [requests[2]], { ...setting, slots: 3, block: 2 });
      assert.deepEqual(single.results[0], results[2]);
      const turned = await decode(model, requests.toReversed(), { ...setting, slots: 9, block: 16 });
      assert.deepEqual(turned.results.toReversed(), results);
    }
  });
  model.dispose();
});

onBothBackends("sampled tokens follow the model's distribution", async (backend) => {
  const model = await smallModel(backend), prompt = tokenIds(4, 77), v = model.config.vocabularySize;
  const logits = (await model.logits(prompt)).slice(3 * v);
  const weights = logits.map((x) => Math.exp(x)), total = weights.reduce((a, b) => a + b, 0);
  const draws = 4000, counts = new Float64Array(v);
  const { results } = await decode(model, [{ prompt, streams: Array.from({ length: draws }, (_, i) => i) }], {
    slots: draws,
    block: 1,
    maxTokens: 1,
    temperature: 1,
    samples: draws,
  });
  for (const { ids: [id] } of results[0]) counts[id]++;
  // every probability within 5 standard deviations of the draw
  weights.forEach((w, id) => {
    const p = w / total, deviation = Math.sqrt(draws * p * (1 - p));
    assert.ok(
      Math.abs(counts[id] - draws * p) <= 5 * deviation + 3,
      `token ${id}: ${counts[id]} of ${draws * p}`,
    );
  });
  model.dispose();
});

const problems: Problem[] = ["", "2+3=", "Ann has 4 pens and buys 6.", "x", "Question: 1?", "7"].map((
  prompt,
  i,
) => ({
  id: `p-${i}`,
  question: "?",
  prompt,
  extra: { kept: i },
}));

const settings: GenerateOptions = { samples: 3, maxTokens: 8, temperature: 1, seed: 5 };

onBothBackends(
  "generate: same seed, same groups, whatever the slots, blocks and company",
  async (backend) => {
    const model = await smallModel(backend, { scale: 5 });
    await assertNoLeak(async () => {
      const groups = await collect(generate(model, problems, settings));
      assert.deepEqual(
        groups.map((g) => [g.id, g.extra]),
        problems.map((p) => [p.id, p.extra]),
        "order and fields",
      );
      for (const { candidates } of groups) {
        assert.equal(candidates.length, 3);
        assert.equal(new Set(candidates.map((c) => c.text)).size, 3, "distinct texts");
        for (const c of candidates) assert.ok(c.tokens! >= 1 && c.tokens! <= 8 && c.finish !== undefined);
      }
      const same = async (source: Problem[], options: GenerateOptions) =>
        JSON.stringify(await collect(generate(model, source, options)));
      assert.equal(await same(problems, settings), JSON.stringify(groups), "again");
      assert.equal(
        await same(problems, { ...settings, slots: 4, block: 3 }),
        JSON.stringify(groups),
        "4 slots",
      );
      assert.equal(await same(problems.slice(2, 3), settings), JSON.stringify([groups[2]]), "alone");
      assert.notEqual(await same(problems, { ...settings, seed: 6 }), JSON.stringify(groups), "another seed");
      const fewer = await collect(generate(model, problems, { ...settings, samples: 2 }));
      assert.deepEqual(
        fewer.map((g) => g.candidates),
        groups.map((g) => g.candidates.slice(0, 2)),
        "the first two",
      );
    });
    model.dispose();
  },
);

onBothBackends(
  "generate: duplicates are drawn again, then left out; temperature 0 gives one",
  async (backend) => {
    const model = await smallModel(backend, { scale: 5 });
    const narrow = { ...settings, maxTokens: 1, topK: 2, samples: 6 };
    for (const { candidates } of await collect(generate(model, problems, narrow))) {
      assert.ok(candidates.length >= 1 && candidates.length <= 2, "two tokens, so at most two texts");
    }
    const all = await collect(generate(model, problems, { ...narrow, keepDuplicates: true }));
    assert.deepEqual(all.map((g) => g.candidates.length), problems.map(() => 6));
    const greedy = await collect(generate(model, problems, { ...settings, temperature: 0, samples: 5 }));
    assert.deepEqual(greedy.map((g) => g.candidates.length), problems.map(() => 1));
    model.dispose();
  },
);

onBothBackends(
  "generate: prompts at and beyond the context, and longer ones that come late",
  async (backend) => {
    const model = await smallModel(backend, { scale: 5, context: 24 }), told: string[] = [];
    const tokens = (text: string) => model.tokenizer.encodePrompt(text).length;
    const texts = ["a", "bbbbb", "c".repeat(22), "d".repeat(23), "e".repeat(200), "f"];
    assert.deepEqual(texts.map(tokens), [2, 6, 23, 24, 201, 2]);
    const source = texts.map((prompt, i) => ({ id: String(i), question: "?", prompt }));
    const options: GenerateOptions = { ...settings, slots: 3, listener: { warn: (line) => told.push(line) } };
    const groups = await collect(generate(model, source, options));
    assert.deepEqual(groups.map((g) => g.candidates.length), [3, 3, 3, 0, 0, 3]);
    // 24 positions: a prompt of 23 leaves one row, whose token predicts one more that needs none
    assert.ok(groups[2].candidates.every((c) => c.tokens! <= 2));
    assert.deepEqual(told, ["2 prompts leave no room in the context of 24 tokens: no candidates"]);
    await assert.rejects(
      collect(generate(model, source, { ...options, tooLong: "refuse" })),
      (error: Error) => {
        assert.ok(error instanceof InputError);
        assert.equal(
          error.message,
          'Cannot generate for "3": its prompt has 24 tokens and the context holds 24',
        );
        return true;
      },
    );
    model.dispose();
  },
);

onBothBackends("generate: a reader that stops, and a signal, end it and free its memory", async (backend) => {
  const model = await smallModel(backend, { scale: 5 });
  let pulled = 0, closed = false;
  const endless = function* (): Generator<Problem> {
    try {
      while (true) yield { id: String(pulled++), question: "?", prompt: "1+1=" };
    } finally {
      closed = true;
    }
  };
  await assertNoLeak(async () => {
    for await (const group of generate(model, endless(), { ...settings, slots: 6 })) {
      assert.equal(group.id, "0");
      break;
    }
    assert.ok(closed && pulled < 20, `${pulled} problems were read for one group`);
    const controller = new AbortController();
    controller.abort();
    const stopped = collect(generate(model, problems, { ...settings, signal: controller.signal }));
    await assert.rejects(stopped, { name: "AbortError" });
  });
  model.dispose();
});

onBothBackends("tensors and bytes are flat over 50 blocks of decoding", async (backend) => {
  const model = await smallModel(backend, { config: { num_hidden_layers: 1 } });
  const session = new DecodingSession(model.decoder, {
    temperature: 1,
    topK: 0,
    topP: 1,
    maxTokens: 6,
    endTokens: [...Array(60).keys()],
    slots: 8,
    block: 2,
    samples: 2,
    longestPrompt: 9,
  });
  let asked = 0, answered = 0, at10 = { tensors: 0, used: 0, held: 0 };
  for (let block = 1; block <= 50; block++) {
    while (
      session.tryAdmit({ prompt: tokenIds(1 + asked % 9, asked), streams: [asked, -asked] }, () => answered++)
    ) asked++;
    await session.advance();
    if (block % 10 > 0) continue;
    await testDevice().finish();
    const now = testDevice().use();
    if (block === 10) at10 = now;
    assert.deepEqual([now.tensors, now.used], [at10.tensors, at10.used], `block ${block}`);
    assert.ok(now.held <= at10.held * 1.2, `${now.held} bytes held, ${at10.held} at block 10`);
  }
  assert.ok(answered > 50, `${answered} answered`);
  session.dispose();
  model.dispose();
});
