"""Adapters made by PEFT on tiny bases, and the logits that PEFT itself computes with them, in float64.

    python3 tools/golden/adapters.py test/golden/adapters
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

IDS = [1, 7, 3, 20, 21, 7, 39, 2, 30]


def llama(tied: bool):
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=tied,
        bos_token_id=1, eos_token_id=2, pad_token_id=None,
    ))


def gpt2():
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=40, n_embd=16, n_inner=24, n_layer=2, n_head=2, n_positions=64, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0, bos_token_id=1, eos_token_id=2,
    ))


BASES = {"tied": lambda: llama(True), "untied": lambda: llama(False), "gpt2": gpt2}

QV = ["q_proj", "v_proj"]
ADAPTERS = {
    "rslora-patterns": ("tied", dict(target_modules=QV + ["up_proj"], use_rslora=True, rank_pattern={"layers.0.self_attn.q_proj": 1}, alpha_pattern={"up_proj": 9})),
    "embedding": ("tied", dict(target_modules=["v_proj", "embed_tokens"])),
    "head-tied": ("tied", dict(target_modules=["v_proj", "lm_head"])),
    "head": ("untied", dict(target_modules=["lm_head"], rank_pattern={"lm_head": 3})),
    "saved": ("untied", dict(target_modules=["o_proj"], modules_to_save=["embed_tokens", "lm_head", "norm"])),
    "tokens-tied": ("tied", dict(target_modules=QV, trainable_token_indices=[7, 39])),
    "tokens": ("untied", dict(target_modules=QV, trainable_token_indices=[39, 7, 0])),
    "tokens-head": ("untied", dict(target_modules=QV, trainable_token_indices={"lm_head": [5, 7]})),
    "tokens-both": ("untied", dict(target_modules=["down_proj"], trainable_token_indices={"embed_tokens": [7], "lm_head": [1, 2, 3]})),
    "dora": ("tied", dict(target_modules=["q_proj", "k_proj", "gate_proj", "down_proj"], use_dora=True, rank_pattern={"down_proj": 4})),
    "dora-layers": ("untied", dict(target_modules="all-linear", use_dora=True, use_rslora=True, exclude_modules=["o_proj"])),
    "dora-embedding-head": ("untied", dict(target_modules=["v_proj", "embed_tokens", "lm_head"], use_dora=True)),
    "dora-tokens": ("tied", dict(target_modules=["up_proj"], use_dora=True, trainable_token_indices=[20, 2])),
    "dora-saved": ("tied", dict(target_modules=["o_proj"], use_dora=True, modules_to_save=["norm"], layers_to_transform=[1])),
    "gpt2-dora": ("gpt2", dict(target_modules=["c_attn", "c_fc", "mlp.c_proj"], use_dora=True)),
    "gpt2-tokens-embedding": ("gpt2", dict(target_modules=["attn.c_proj"], trainable_token_indices={"wte": [3, 30]})),
}


def randomize(parameters, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = (parameter.data + 0.3 * noise).contiguous()


def main(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    for name, make in BASES.items():
        torch.manual_seed(1)
        model = make()
        for parameter in model.parameters():
            parameter.data *= 8  # far from linear, so that a wrong number shows
        model.save_pretrained(out / f"base-{name}")
        (out / f"base-{name}" / "generation_config.json").unlink(missing_ok=True)
    expected = {}
    for number, (name, (base, fields)) in enumerate(ADAPTERS.items()):
        folder = out / f"base-{base}"
        make = GPT2LMHeadModel if base == "gpt2" else LlamaForCausalLM
        model = get_peft_model(make.from_pretrained(folder), LoraConfig(r=2, lora_alpha=6, task_type="CAUSAL_LM", **fields))
        randomize((p for _, p in sorted(model.named_parameters()) if p.requires_grad), number)
        model.peft_config["default"].base_model_name_or_path = f"../base-{base}"
        model.save_pretrained(out / name, save_embedding_layers=False)
        (out / name / "README.md").unlink(missing_ok=True)
        config = out / name / "adapter_config.json"
        written = json.loads(config.read_text())
        for field in ("target_modules", "exclude_modules"):  # sets, in any order
            if isinstance(written[field], list):
                written[field].sort()
        config.write_text(json.dumps(written, sort_keys=True) + "\n")
        model = model.double().eval()
        with torch.no_grad():
            logits = model(torch.tensor([IDS])).logits[0]
            with model.disable_adapter():
                before = model(torch.tensor([IDS])).logits[0]
        expected[name] = {
            "base": f"base-{base}",
            "change": round((logits - before).abs().max().item(), 4),
            "logits": [[round(x, 6) for x in row] for row in logits[-3:].tolist()],
        }
        print(f"{name}: logits change by {expected[name]['change']}")
    (out / "expected.json").write_text(json.dumps({"ids": IDS, "adapters": expected}) + "\n")


main(Path(sys.argv[1]))
