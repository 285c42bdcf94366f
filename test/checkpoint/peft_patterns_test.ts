/** How an adapter_config.json names modules: what PEFT 0.18's functions give for the same input. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { isPattern, isTargeted, patternValue, type TargetRules } from "../../lib/checkpoint/peft_patterns.ts";

const q = (layer: number) => `model.layers.${layer}.self_attn.q_proj`, up = "model.layers.1.mlp.up_proj";

test("a pattern's first key that fits the end of a path counts: re.match(rf'(.*\\.)?({key})$', path)", () => {
  const cases: [Record<string, number>, string, number | undefined][] = [
    [{ q_proj: 4 }, q(0), 4],
    [{ proj: 4 }, q(0), undefined], // a part of a word is no end of a path
    [{ ".*proj": 4 }, q(0), 4],
    [{ "self_attn.q_proj": 4 }, q(11), 4],
    [{ "layers.1.self_attn.q_proj": 4 }, q(1), 4],
    [{ "layers.1.self_attn.q_proj": 4 }, q(11), undefined],
    [{ "model.layers.0.self_attn.q_proj": 4, q_proj: 8 }, q(0), 4],
    [{ q_proj: 8, "model.layers.0.self_attn.q_proj": 4 }, q(0), 8],
    [{ "q|up_proj": 8 }, up, 8],
    [{ "q_proj|k_proj": 8 }, up, undefined],
    [{ "layers\\.[0-3]\\..*": 2 }, q(3), 2],
    [{ "layers\\.[0-3]\\..*": 2 }, q(4), undefined],
    [{ "^model.layers.0.*": 2 }, q(0), 2], // PEFT writes such keys for target_parameters
    [{ "q\\_proj": 2 }, q(0), 2],
    [{ "q[\\-_]proj\\Z": 2 }, q(0), 2],
    [{}, q(0), undefined],
  ];
  for (const [pattern, module, value] of cases) {
    assert.equal(patternValue(pattern, module), value, `${JSON.stringify(pattern)} ${module}`);
  }
});

test("target_modules, exclude_modules and layers_to_transform: check_target_module_exists", () => {
  const none: TargetRules = {
    ...{ target_modules: null, exclude_modules: null, layers_to_transform: null, layers_pattern: [] },
  };
  const cases: [Partial<TargetRules>, string, boolean | undefined][] = [
    [{}, q(0), undefined],
    [{ target_modules: "all-linear" }, q(0), undefined],
    [{ target_modules: ["q_proj"] }, q(0), true],
    [{ target_modules: ["proj"] }, q(0), false],
    [{ target_modules: ["attn.q_proj"] }, q(0), false],
    [{ target_modules: "q_proj" }, q(0), false], // a regular expression fits all of a path
    [{ target_modules: ".*q_proj" }, q(0), true],
    [{ target_modules: "model\\.layers\\.(0|2)\\..*_proj" }, q(1), false],
    [{ target_modules: ["q_proj"], exclude_modules: ["q_proj"] }, q(0), false],
    [{ target_modules: ["q_proj"], exclude_modules: ".*\\.0\\..*" }, q(0), false],
    [{ target_modules: ["q_proj"], exclude_modules: ".*\\.0\\..*" }, q(1), true],
    [{ target_modules: ["q_proj"], layers_to_transform: [1] }, q(0), false],
    [{ target_modules: ["q_proj"], layers_to_transform: [1] }, q(1), true],
    [{ target_modules: ["q_proj"], layers_to_transform: [1], layers_pattern: ["layers"] }, q(1), true],
    [{ target_modules: ["q_proj"], layers_to_transform: [1], layers_pattern: ["h"] }, q(1), false],
    [{ target_modules: ["q_proj"], layers_to_transform: [1], layers_pattern: ["h", "layers"] }, q(1), true],
    [{ target_modules: [q(0)], layers_to_transform: [1] }, q(0), true], // a whole path is not asked for its layer
    [{ target_modules: ["embed_tokens"], layers_to_transform: [0] }, "model.embed_tokens", false],
  ];
  for (const [rules, module, wanted] of cases) {
    assert.equal(isTargeted(module, { ...none, ...rules }), wanted, `${JSON.stringify(rules)} ${module}`);
  }
});

test("what one of the two languages has alone is no pattern", () => {
  for (const source of ["(", "[z-a]", "(?i)q_proj", "(?P=x)", "a++", "(a+)+", "(a|a)*", "\\8"]) {
    assert.ok(!isPattern(source), source);
  }
  for (const source of ["q_proj", "(q|k)_proj", "(?P<x>q)_proj", "\\w+", "\\bq_proj", "a{2,3}"]) {
    assert.ok(isPattern(source), source);
  }
});
