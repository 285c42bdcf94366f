import assert from "node:assert/strict";
import { test } from "node:test";
import type { Group, Problem } from "../../lib/data/records.ts";
import { evaluate, type Evaluated, majorityResult, sampledResult } from "../../lib/evaluate/evaluate.ts";
import { label } from "../../lib/feedback/label.ts";
import { score } from "../../lib/evaluate/score.ts";
import { summarize } from "../../lib/evaluate/summary.ts";
import { encodePrompt, encodeResponse } from "../../lib/model/encode.ts";
import { generate } from "../../lib/model/generate.ts";
import type { Model } from "../../lib/model/model.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { assertClose, assertNoLeak, onBothBackends } from "../_backends.ts";
import { collect, setParameter, smallModel } from "../_models.ts";
import { toyGroups } from "../_toys.ts";

const END = 2;

/** Sum of a response's log-probs by one plain sequence: no shared prompt, no batch. */
async function logprobAlone(
  model: Model,
  prompt: readonly number[],
  response: readonly number[],
): Promise<number> {
  const all = await model.logprobs([...prompt, ...response]);
  return all.slice(prompt.length - 1).reduce((a, b) => a + b, 0);
}

onBothBackends(
  "score is the mean log-prob of the response's own tokens, its end token included",
  async (backend) => {
    const model = await smallModel(backend, { context: 96 });
    const groups: Group[] = [
      {
        ...toyGroups(1)[0],
        candidates: [
          { text: "1 + 1 = 2\n#### 2", finish: "stop" },
          { text: "1 + 1 = 3\n#### 3" },
          { text: "1 + 1 is, when all is", finish: "length" },
          { text: "", finish: "stop" },
        ],
      },
      ...toyGroups(5).slice(1),
    ];
    await assertNoLeak(async () => {
      const scored = await collect(score(model, groups));
      assert.deepEqual(scored.map((g) => g.id), groups.map((g) => g.id));
      for (const group of scored) {
        const prompt = encodePrompt(model, group);
        for (const candidate of group.candidates) {
          const ids = encodeResponse(model, candidate),
            where = `${group.id}: ${JSON.stringify(candidate.text)}`;
          const text = candidate.text === "" ? [] : model.tokenizer.encodeResponse(` ${candidate.text}`);
          assert.deepEqual(ids, candidate.finish === "length" ? text : [...text, END], where);
          const want = await logprobAlone(model, prompt, ids);
          assert.equal(candidate.tokens, ids.length, where);
          assertClose([candidate.logprob!], [want], 1e-5, where);
          assertClose([candidate.score!], [want / ids.length], 1e-5, where);
        }
        const reference = encodeResponse(model, { text: group.reference! });
        assert.equal(group.reference_tokens, reference.length);
        const want = await logprobAlone(model, prompt, reference);
        assertClose([group.reference_logprob as number], [want], 1e-5, group.id);
        assertClose([group.reference_score as number], [want / reference.length], 1e-5, group.id);
      }
      // However it is cut: 30 rows hold a prompt and one or two responses.
      const cut = await collect(score(model, groups, { microBatchTokens: 30 }));
      cut.forEach((g, i) =>
        assertClose(g.candidates.map((c) => c.score!), scored[i].candidates.map((c) => c.score!), 1e-5, g.id)
      );
    });
    model.dispose();
  },
);

test("labels come from answers, or stay as they came", async () => {
  const group: Group = {
    id: "g",
    question: "?",
    answer: "1,234",
    candidates: [
      { text: "so\n#### 1234", source: "x" },
      { text: "it is 1234.0" },
      { text: "no number", correct: true },
      { text: "#### 7", correct: true },
    ],
  };
  const counts = { candidates: 0, correct: 0, unanswered: 0 };
  const made = label(group, { counts, relabel: true });
  assert.deepEqual(made.candidates.map((c) => c.correct), [true, true, false, false]);
  assert.deepEqual(made.candidates.map((c) => c.answer), ["1234", "1234", null, "7"]);
  assert.equal(made.candidates[0].source, "x");
  assert.deepEqual(counts, { candidates: 4, correct: 2, unanswered: 1 });
  assert.deepEqual(label(group, { strict: true, relabel: true }).candidates.map((c) => c.correct), [
    true,
    false,
    false,
    false,
  ]);
  assert.deepEqual(label(group).candidates.map((c) => c.correct), [true, true, true, true]);
  const wrong = { ...group, candidates: [{ text: "#### 1234", correct: false }] };
  assert.equal(label(wrong).candidates[0].correct, false); // whatever its answer says
  // Without a model: labels alone, and what could not be found is told once.
  const told: string[] = [],
    options = { relabel: true, listener: { warn: (line: string) => told.push(line) } };
  assert.deepEqual(await collect(score(undefined, [group, group], options)), [made, made]);
  assert.deepEqual(told, ["2 of 8 candidates have no answer that could be found: they count as wrong"]);
  // Ranked groups without an answer get no labels, so nothing counts as wrong.
  const { answer: _, ...ranked } = group, candidates = [{ text: "no number", rank: 1 }];
  const silent = await collect(score(undefined, [{ ...ranked, candidates }], options));
  assert.ok(!("correct" in silent[0].candidates[0]));
  assert.equal(told.length, 1);
});

onBothBackends("candidates and prompts beyond the context are reported and get no score", async (backend) => {
  const model = await smallModel(backend, { context: 32 }), told: string[] = [];
  const group = (id: string, prompt: string, texts: string[]): Group => ({
    id,
    question: "?",
    prompt,
    candidates: texts.map((text) => ({ text, correct: true })),
  });
  const groups = [
    group("fits", "1+1=", ["yes", "n".repeat(40), "no"]),
    group("long", "p".repeat(60), ["a", "b"]),
    group("none", "2+2=", []),
    group("last", "1+1=", ["yes"]),
  ];
  await assertNoLeak(async () => {
    const scored = await collect(
      score(model, groups, { listener: { warn: (line) => told.push(line) } }),
    );
    assert.deepEqual(scored.map((g) => g.candidates.map((c) => c.score !== undefined)), [
      [true, false, true],
      [false, false],
      [],
      [true],
    ]);
    assertClose([scored[3].candidates[0].score!], [scored[0].candidates[0].score!], 1e-5);
    assert.deepEqual(told, ["3 responses exceed the context of 32 tokens: no score"]);
    await assert.rejects(collect(score(model, groups, { tooLong: "refuse" })), (error: Error) => {
      assert.ok(error instanceof InputError && !error.message.includes("\n"));
      assert.match(
        error.message,
        /^Cannot score "fits": prompt and response have \d+ tokens and the context holds 32$/,
      );
      return true;
    });
  });
  model.dispose();
});

test("majority vote by hand: the most frequent answer, the earliest of equals, no answer does not vote", () => {
  const problem: Problem = { id: "m", question: "?", answer: "5" };
  const vote = (...texts: string[]) => majorityResult(problem, texts.map((text) => ({ text }))).majority;
  assert.deepEqual(vote("#### 5", "#### 4", "so 5.0"), { answer: "5", correct: true, share: 2 / 3 });
  assert.deepEqual(vote("#### 4", "#### 5", "#### 5", "#### 4"), { answer: "4", correct: false, share: 0.5 });
  assert.deepEqual(vote("#### 5", "#### 4", "#### 4", "#### 5"), { answer: "5", correct: true, share: 0.5 });
  assert.deepEqual(vote("none", "nothing", "#### 5"), { answer: "5", correct: true, share: 1 / 3 });
  assert.deepEqual(vote("none", "nothing"), { answer: null, correct: false, share: 0 });
  assert.deepEqual(majorityResult(problem, []), {});
});

test("pass@1 by hand: the share of right samples, whatever the majority says", () => {
  const problem: Problem = { id: "m", question: "?", answer: "5" };
  const sampled = (...texts: string[]) =>
    sampledResult(problem, texts.map((text) => ({ text }))).sampled_accuracy;
  assert.equal(sampled("#### 5", "#### 4", "so 5.0", "none"), 0.5);
  assert.equal(sampled("#### 4", "#### 4", "#### 5"), 1 / 3);
  assert.equal(sampled("none"), 0);
  assert.deepEqual(sampledResult(problem, []), {});
});

test("summarize by hand", () => {
  const greedy = (correct: boolean, strict: boolean, finish: "stop" | "length") => ({
    greedy: {
      text: "",
      answer: null,
      correct,
      finish,
      ...(finish === "stop" && { strict, flexible: correct && strict }),
    },
  });
  const results: Evaluated[] = [
    {
      id: "1",
      ...greedy(true, true, "stop"),
      reference_logprob: -3,
      reference_tokens: 2,
      assessment_accuracy: 0.75,
      positives: -1,
      negatives: -2,
    },
    {
      id: "2",
      ...greedy(true, false, "stop"),
      reference_logprob: -1,
      reference_tokens: 6,
      assessment_accuracy: 0.25,
      positives: -2,
      negatives: -1.5,
    },
    {
      id: "3",
      ...greedy(false, false, "length"),
      majority: { answer: "4", correct: true, share: 1 },
      sampled_accuracy: 0.75,
      positives: -9,
    },
    { id: "4" },
  ];
  const { perplexity, ...rest } = summarize(results);
  assertClose([perplexity!], [Math.exp(4 / 8)], 1e-12); // by tokens: not the mean of e^1.5 and e^(1/6)
  assert.deepEqual(JSON.parse(JSON.stringify(rest)), { // what was not measured is absent
    questions: 4,
    accuracy: 2 / 3,
    strict_accuracy: 1 / 2, // of the two that ask for a number
    flexible_accuracy: 1 / 2,
    majority_accuracy: 1,
    sampled_accuracy: 0.75,
    assessment_accuracy: 0.5,
    mixed_questions: 2,
    positives: -1.5, // the third question has one side only
    negatives: -1.75,
    margin: 0.25,
    no_end_token: 1 / 3,
  });
  assert.deepEqual(Object.values(summarize([])).filter((v) => v !== undefined), [0, 0]);
});

onBothBackends(
  "evaluate: perplexity, assessment accuracy, greedy answers and votes, by hand",
  async (backend) => {
    // A tied head of random weights repeats its input, whatever came before.
    const config = { tie_word_embeddings: false };
    const model = await smallModel(backend, { context: 48, scale: 5, config }), told: string[] = [];
    const long: Group = { ...toyGroups(3)[2], id: "long", prompt: "9".repeat(60), candidates: [] };
    const twins = toyGroups(2).map((g) => ({ ...g, id: "twin" })); // ids repeat where files were joined
    const records: (Problem | Group)[] = [...twins, long, {
      id: "open",
      question: "?",
      prompt: "say",
      reference: "it",
    }];
    await assertNoLeak(async () => {
      const options = {
        votes: 4,
        maxTokens: 5,
        seed: 3,
        listener: { warn: (line: string) => told.push(line) },
      };
      const results = await collect(evaluate(model, records, options));
      assert.deepEqual(results.map((r) => r.id), ["twin", "twin", "long", "open"]);
      const scored = await collect(score(model, twins));
      for (const [i, group] of twins.entries()) {
        const [a, b, c] = scored[i].candidates.map((c) => c.score!), result = results[i];
        const share = (Number(a > b) + Number(a > c)) / 2; // one right, two wrong
        assertClose([result.assessment_accuracy!], [share], 1e-12);
        assertClose([result.positives!, result.negatives!], [a, (b + c) / 2], 1e-6);
        // Summed in float32, and the two batch the references with other rows.
        assertClose([result.reference_logprob!], [scored[i].reference_logprob as number], 1e-5);
        const drawn = await collect(generate(model, [group], { temperature: 0, maxTokens: 5 }));
        assert.deepEqual(result.greedy!.text, drawn[0].candidates[0].text);
        assert.ok(result.majority !== undefined);
        assert.ok([0, 0.25, 0.5, 0.75, 1].includes(result.sampled_accuracy!)); // of four votes
      }
      assert.notEqual(results[0].greedy!.text, results[1].greedy!.text, "twins are two questions");
      assert.deepEqual(results[2], { id: "long" }, "nothing could be measured");
      assert.deepEqual(
        Object.keys(results[3]),
        ["id", "reference_logprob", "reference_tokens"],
        "no answer to compare",
      );
      assert.ok(
        told.some((l) => l.startsWith("1 prompt leaves no room in the context of 48 tokens")),
        told.join("\n"),
      );
      assert.ok(
        told.some((l) => l === "1 response exceeds the context of 48 tokens: no score"),
        told.join("\n"),
      );
      const known = results.filter((r) => r.reference_tokens !== undefined);
      const { perplexity, questions } = summarize(results);
      const sum = (pick: (r: Evaluated) => number) => known.reduce((total, r) => total + pick(r), 0);
      assert.deepEqual([known.length, questions], [3, 4]);
      assertClose([perplexity!], [
        Math.exp(-sum((r) => r.reference_logprob!) / sum((r) => r.reference_tokens!)),
      ], 1e-9);
      // A uniform model: every token is one of 290, whatever the reference.
      for (const [name, tensor] of model.decoder.parameters) {
        setParameter(model, name, new Float32Array(tensor.size));
      }
      const uniform = await collect(evaluate(model, records.slice(0, 2), { greedy: false }));
      assertClose([summarize(uniform).perplexity!], [290], 1e-5);
      assert.equal(summarize(uniform).assessment_accuracy, 0.5, "ties count half");
      assert.equal(uniform[0].greedy, undefined);
    });
    model.dispose();
  },
);

test("evaluate keeps the labels of records unless told otherwise, and hears a signal", async () => {
  const model = await smallModel("wasm");
  const group: Group = {
    ...toyGroups(1)[0],
    answer: "2",
    candidates: [{ text: "#### 2", correct: false }, { text: "#### 3", correct: true }],
  };
  const margin = async (relabel?: boolean) => {
    const [result] = await collect(evaluate(model, [group], { greedy: false, relabel }));
    return result.positives! - result.negatives!;
  };
  const kept = await margin();
  assertClose([await margin(false), await margin(true)], [kept, -kept], 1e-6);
  assert.ok(Math.abs(kept) > 1e-3);
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(collect(evaluate(model, [group], { signal: controller.signal })), {
    name: "AbortError",
  });
  model.dispose();
});
