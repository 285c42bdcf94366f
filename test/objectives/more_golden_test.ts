/** One group under the objectives beyond AFT's paper: value and derivative of `objectives_more.json`, to its last digit. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { lossOf, type ObjectiveOptions } from "../../lib/objectives/objectives.ts";

const path = new URL("../../../shared/golden/objectives_more.json", import.meta.url);

/** Which objective each entry is, and with what; the file's group has votes of 9 samples for ScPO. */
const methods: Readonly<Record<string, readonly [string, ObjectiveOptions?]>> = {
  "dpo beta=.1": ["dpo"],
  "cdpo beta=.1 eps=.1 (label smoothing)": ["dpo", { labelSmoothing: 0.1 }],
  "robust beta=.1 eps=.1": ["robust"],
  "dpo_norm beta=5": ["dpo-norm"],
  "dpop paper: inside beta, beta=.3 lambda=5": ["dpop"],
  "hinge/slic beta=.1": ["hinge"],
  "infonca alpha=1 beta=.1 (whole group)": ["infonca"],
  "nca alpha=1 beta=.1 (whole group)": ["nca"],
  "apo_zero beta=.1": ["apo-zero"],
  "apo_down beta=.1": ["apo-down"],
  "cpo beta=.1 alpha=1 (no reference)": ["cpo"],
  "scpo beta=.5 alpha=1 votes 3,3,1,2 of 9": ["scpo"],
  "grpo seq-mean-token-mean (A=(r-mu)/(sd+1e-4), n-1)": ["grpo"],
  "dr_grpo (A=r-mu, sum over tokens, constant 16)": ["dr-grpo", { divisor: 16 }],
  "rloo (A=n/(n-1)(r-mu), sequence sum)": ["rloo"],
  "reinforce_rej (skip all-right/all-wrong; A=r, rewards +1/-1)": ["reinforce-rej"],
  "gspo eps=(3e-4,4e-4), old=ref": ["gspo"],
  "a*-po beta1=.5 beta2=1e-3 (V from the group)": ["a-star-po"],
};

/** A number is written with 10 decimals, a derivative with 7. */
const agrees = (found: number, written: number, decimals: number) =>
  Math.abs(found - written) <= 0.5 * 10 ** -decimals + 1e-12;

test("every golden method that the table has", { skip: !existsSync(path) }, () => {
  const golden = JSON.parse(readFileSync(path, "utf8"));
  const { s: scores, len: lengths, ref: referenceLogprobs, correct, votes } = golden.group;
  for (const [entry, [name, options]] of Object.entries(methods)) {
    const group = {
      scores,
      lengths,
      referenceLogprobs,
      correct: correct.map(Boolean),
      ...(name === "scpo" && { reward: votes.map((count: number) => count / 9) }),
    };
    const { value, gradient } = lossOf(name, group, options);
    assert.ok(agrees(value, golden[entry].value, 10), `${entry}: ${value}`);
    assert.equal(gradient.length, golden[entry].dL_ds.length);
    gradient.forEach((slope, i) =>
      assert.ok(agrees(slope, golden[entry].dL_ds[i], 7), `${entry}: ${gradient}`)
    );
  }
});

test("TRL's nca_pair is nca over two candidates where only the better one is preferred", {
  skip: !existsSync(path),
}, () => {
  const golden = JSON.parse(readFileSync(path, "utf8"));
  const { s, len, ref, correct } = golden.group, pairs: [number, number][] = [[0, 2], [0, 3], [1, 2], [1, 3]];
  const gradient = [0, 0, 0, 0];
  let value = 0;
  for (const pair of pairs) {
    const of = <T>(list: T[]) => pair.map((i) => list[i]!);
    const group = { scores: of<number>(s), lengths: of<number>(len), referenceLogprobs: of<number>(ref) };
    const found = lossOf("nca", { ...group, correct: of<number>(correct).map(Boolean) }, { alpha: 1e-3 });
    value += found.value / pairs.length;
    pair.forEach((i, at) => gradient[i]! += found.gradient[at]! / pairs.length);
  }
  const { value: written, dL_ds } = golden["nca_pair beta=.1"];
  assert.ok(agrees(value, written, 10), `${value}`);
  gradient.forEach((slope, i) => assert.ok(agrees(slope, dL_ds[i], 7), `${gradient}`));
});
