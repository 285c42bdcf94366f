"""What two public evaluations find in answers: lm-evaluation-harness (gsm8k, strict-match and flexible-extract) and
gsm8k-ScRel (eval.py). Both run from their own sources, the harness by the filters and the metric of its task's file.

    python3 tools/golden/answers.py LM_EVALUATION_HARNESS SCREL/eval.py test/golden/answers.json
"""
import importlib.util
import json
import random
import re
import sys
import types
from pathlib import Path

import yaml

GOLD = "5 * 360 = 1,800\n#### 1,800"

BY_HAND = [
    "#### 1800", "#### 1,800", "#### 1800.", "#### 1800.0", "#### $1800", "####1800", "#### -1800", "####  1800",
    "#### 1800 apples", "#### 1800\n#### 7", "#### 7\n#### 1800", "The answer is 1800.", "The answer is $1,800.00",
    "The answer is 1,800 dollars.", "1800", "so 5 * 360 = 1800", "= 1800 - 0", "1 800", "1.800", "1800/1", "18e2",
    "1800%", "-1,800", "–1800", "−1800", "##### 1800", "# 1800", "#### 1.8k", "#### 1,8,0,0", "#### .", "#### ,",
    "#### 1800.5", "#### 1..800", "", "none", "#### one thousand", "1800...", "$1800$", "\\boxed{1800}",
    "**1800**", "#### **1800**", "It is 1800!", "1800?", "#### 1800,", "#### 1800-", "#### 1-1800", "1800\n\n",
    "#### 1800\u0000#### 3", "\u0000#### 1800", "#### 1800", "#### 1800", "１８００", "#### １８００", "٣", "1,80",
]


def made(count: int):
    """Texts of the signs that the rules look at, in any order."""
    dice = random.Random(7)
    parts = ["#### ", "####", "1800", "1,800", "1800.0", ".", ",", "$", "-", " ", "\n", "7", "the answer is ", "=", "0", "1", "8", "Question: ", "%", "/"]
    return ["".join(dice.choice(parts) for _ in range(dice.randint(1, 7))) for _ in range(count)]


def load(name: str, path: str):
    """A module by its file alone: the harness' package would bring all of its needs with it."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def harness(root: Path):
    for name in ("lm_eval", "lm_eval.api", "lm_eval.filters"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["lm_eval.api.registry"] = types.SimpleNamespace(register_filter=lambda *_: lambda cls: cls)
    sys.modules["lm_eval.api.filter"] = types.SimpleNamespace(Filter=object)
    extraction = load("extraction", root / "lm_eval/filters/extraction.py")
    task = yaml.safe_load((root / "lm_eval/tasks/gsm8k/gsm8k.yaml").read_text())
    ignored = next(metric for metric in task["metric_list"] if metric["metric"] == "exact_match")
    filters = {}
    for entry in task["filter_list"]:
        regex = next(step for step in entry["filter"] if step["function"] == "regex")
        filters[entry["name"]] = extraction.RegexFilter(**{k: v for k, v in regex.items() if k != "function"})
    # exact_match_hf_evaluate of lm_eval/api/metrics.py, for one pair.
    source = (root / "lm_eval/api/metrics.py").read_text()
    start = source.index("def exact_match_hf_evaluate")
    body = source[start:source.index("\n\n\n", start)]
    import numpy as np
    import string
    scope = {"np": np, "re": re, "string": string}
    exec("from __future__ import annotations\n" + body, scope)
    options = {k: ignored[k] for k in ("regexes_to_ignore", "ignore_case", "ignore_punctuation") if k in ignored}

    def judge(text: str):
        found = {name: one.apply([[text]], [{}])[0][0] for name, one in filters.items()}
        right = {name: bool(scope["exact_match_hf_evaluate"]([value], [GOLD], **options)["exact_match"]) for name, value in found.items()}
        return found["strict-match"], found["flexible-extract"], right["strict-match"], right["flexible-extract"]
    return judge


def main(harness_root: str, screl_file: str, out: str) -> None:
    judge = harness(Path(harness_root))
    source = Path(screl_file).read_text()
    scope = {}
    exec(source[:source.index("def parse_gold")], scope)  # the rest runs on files that are not there
    extract, invalid = scope["extract_answer"], scope["INVALID_ANS"]
    gold = float(extract(GOLD))
    cases = []
    for text in dict.fromkeys(BY_HAND + made(400)):
        strict, flexible, strict_right, flexible_right = judge(text)
        found = extract(text)
        cases.append([text, strict, flexible, strict_right, flexible_right, found, found != invalid and abs(float(found) - gold) < 1e-4])
    Path(out).write_text(json.dumps({"reference": GOLD, "cases": cases}, ensure_ascii=True).replace("], [", "],\n[") + "\n")
    print(len(cases), "answers,", sum(case[3] for case in cases), "right by the strict rule")


main(*sys.argv[1:4])
