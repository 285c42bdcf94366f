"""Tiny models of many configurations, written by transformers, and their logits in float64.

    python3 tools/golden/configs.py test/golden/configs
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

IDS = [1, 7, 3, 20, 21, 7, 30, 2, 11, 12, 5, 9]
SIZE = dict(vocab_size=32, hidden_size=16, intermediate_size=12, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)
GPT2 = dict(vocab_size=32, n_embd=16, n_layer=1, n_head=4, n_positions=64, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=1, eos_token_id=2)


def rope(**parameters):
    return dict(rope_parameters=dict(rope_theta=10000.0, **parameters))


CONFIGS = {
    "llama": LlamaConfig(**SIZE),
    "llama-multi-query-wide-heads": LlamaConfig(**{**SIZE, "num_key_value_heads": 1, "head_dim": 10}),
    "llama-biases": LlamaConfig(**SIZE, attention_bias=True, mlp_bias=True),
    "llama-theta-tied": LlamaConfig(**SIZE, rope_parameters=dict(rope_type="default", rope_theta=500000.0), tie_word_embeddings=True, rms_norm_eps=1e-3),
    "llama-linear": LlamaConfig(**SIZE, **rope(rope_type="linear", factor=4.0)),
    "llama-llama3": LlamaConfig(**SIZE, **rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    "llama-yarn": LlamaConfig(**SIZE, **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama-dynamic": LlamaConfig(**SIZE, **rope(rope_type="dynamic", factor=4.0)),
    "llama-partial": LlamaConfig(**SIZE, **rope(rope_type="default", partial_rotary_factor=0.5)),
    "llama-gelu": LlamaConfig(**SIZE, hidden_act="gelu"),
    "mistral-window": MistralConfig(**SIZE, sliding_window=4),
    "mistral": MistralConfig(**SIZE, sliding_window=None, head_dim=6),
    "qwen2": Qwen2Config(**SIZE),
    "qwen2-window": Qwen2Config(**SIZE, use_sliding_window=True, sliding_window=4, max_window_layers=0),
    "qwen2-window-off": Qwen2Config(**SIZE, use_sliding_window=False, sliding_window=4),
    "qwen3": Qwen3Config(**SIZE, head_dim=8),
    "qwen3-biases-tied": Qwen3Config(**SIZE, head_dim=4, attention_bias=True, tie_word_embeddings=True),
    "gpt2": GPT2Config(**GPT2),
    "gpt2-inner": GPT2Config(**GPT2, n_inner=20, layer_norm_epsilon=1e-3),
    "gpt2-relu": GPT2Config(**GPT2, activation_function="relu"),
    "gpt2-unscaled": GPT2Config(**GPT2, scale_attn_weights=False),
    "gpt2-by-layer": GPT2Config(**GPT2, scale_attn_by_inverse_layer_idx=True),
}


def main(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    expected = {}
    for number, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        for path, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape)
            parameter.data = 1 + 0.3 * noise if "norm" in path or ".ln_" in path else 0.5 * noise
        model.tie_weights()
        model.save_pretrained(out / name)
        (out / name / "generation_config.json").unlink(missing_ok=True)
        model = model.double().eval()
        with torch.no_grad():
            logits = model(torch.tensor([IDS])).logits[0]
        expected[name] = [[round(x, 6) for x in row] for row in logits[[4, -1]].tolist()]
    (out / "expected.json").write_text(json.dumps({"ids": IDS, "rows": [4, len(IDS) - 1], "models": expected}) + "\n")
    print(len(expected), "configurations")


main(Path(sys.argv[1]))
