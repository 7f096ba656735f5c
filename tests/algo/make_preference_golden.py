#!/usr/bin/env python3
"""Writes tests/golden/loss/preference_losses.json: losses of pairs and groups of sequences and their gradients in float64, straight from
their formulas, and beside those that TRL has what DPOTrainer._compute_loss makes of the same log-probs. Needs PyTorch and TRL
(tests/golden/README.md).

  tests/algo/make_preference_golden.py tests/golden/loss/preference_losses.json
"""
import json
import sys
from collections import defaultdict
from types import SimpleNamespace

import torch
import trl
from trl.trainer.dpo_trainer import DPOTrainer

PAIRS = [2] * 5
METRICS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected")


def array(tensor):
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."), "data": tensor.flatten().tolist()}


def draw(groups, seed):
    """Log-probs of uneven sequences, one flat tensor; the reference's are near them, so that margins have either sign."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (sum(groups),), generator=generator)
    log_probs = -torch.rand(int(lengths.sum()), generator=generator, dtype=torch.float64) * 3
    reference = log_probs + 0.4 * torch.randn(log_probs.shape, generator=generator, dtype=torch.float64)
    return lengths, log_probs, reference.clamp(max=-1e-3)


def sums(values, lengths):
    return torch.stack([part.sum() for part in values.split(lengths.tolist())])


def pair(score, _):
    return -(score[0] - score[1]) / 2


def sigmoid(score, config):
    margin = config["beta"] * (score[0] - score[1])
    smoothing = config.get("label_smoothing", 0.0)
    return -(1 - smoothing) * torch.log(torch.sigmoid(margin)) - smoothing * torch.log(torch.sigmoid(-margin))


def ipo(score, config):
    return (score[0] - score[1] - 1 / (2 * config["beta"])) ** 2


def info_nce(score, config, values):
    """-log of the share that each sequence has among itself and those that are worse, over the sequences that are better than some."""
    terms = []
    for i, value in enumerate(values):
        worse = [j for j, other in enumerate(values) if other < value]
        if worse:
            among = torch.exp(config["beta"] * score[[i, *worse]])
            terms.append(-torch.log(among[0] / among.sum()))
    return torch.stack(terms).mean()


def case(name, loss, groups, values, config, seed):
    """The first of each pair is the better one."""
    lengths, flat, reference = draw(groups, seed)
    log_probs = flat.clone().requires_grad_()
    score = sums(log_probs, lengths)
    if config["reference"]:
        score = score - sums(reference, lengths)
    if config["length_normalised"]:
        score = score / lengths
    terms = []
    for part, goods in zip(score.split(groups), torch.tensor(values, dtype=torch.float64).split(groups)):
        terms.append(loss(part, config, goods.tolist()) if loss is info_nce else loss(part, config))
    total = torch.stack(terms)
    total.mean().backward()
    return {"name": name, "loss": loss.__name__, "groups": groups, "values": values, "lengths": lengths.tolist(), **config,
            "log_probs": array(flat), "reference_log_probs": array(reference), "terms": array(total.detach()), "grad": array(log_probs.grad)}


def trl_name(one):
    """What TRL calls the loss; its label smoothing is another one."""
    if not one["reference"] or one.get("label_smoothing"):
        return None
    return {("sigmoid", False): "sigmoid", ("sigmoid", True): "sigmoid_norm", ("ipo", True): "ipo"}.get((one["loss"], one["length_normalised"]))


def rows(flat, lengths):
    """One row a sequence behind a prompt token, the better ones first, as DPOTrainer has them."""
    parts = flat.split(lengths.tolist())
    return torch.nn.utils.rnn.pad_sequence(parts[0::2] + parts[1::2], batch_first=True)


def of_trl(one):
    """DPOTrainer's own function on a stand-in for the trainer, whose model returns the log-probs."""
    lengths = torch.tensor(one["lengths"])
    log_probs = torch.tensor(one["log_probs"]["data"], dtype=torch.float64, requires_grad=True)
    per_token = rows(log_probs, lengths)
    mask = torch.nn.functional.pad(rows(torch.ones_like(log_probs), lengths), (1, 0)).long()
    chosen, rejected = sums(torch.tensor(one["reference_log_probs"]["data"], dtype=torch.float64), lengths).view(-1, 2).unbind(1)
    nothing = torch.zeros_like(per_token)
    outputs = SimpleNamespace(log_probs=per_token, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True), aux_loss_enabled=False, ld_alpha=None, precompute_ref_logps=True, f_divergence_type="reverse_kl",
        loss_types=[trl_name(one)], loss_weights=[1.0], beta=one["beta"], label_smoothing=0.0, use_weighting=False, _total_train_tokens=0, _tp_size=1,
        accelerator=SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x), _metrics={"train": defaultdict(list)})
    inputs = {"completion_mask": mask, "input_ids": mask, "attention_mask": mask, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    loss = DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    loss.backward()
    metrics = {name: trainer._metrics["train"][name][0] for name in METRICS}
    return {"loss_type": trl_name(one), "loss": loss.item(), "grad": array(log_probs.grad), "metrics": metrics}


def cases():
    plain = {"reference": False, "length_normalised": False}
    signs = [1.0, -1.0] * len(PAIRS)
    yield case("pair", pair, PAIRS, signs, plain, 1)
    for seed, (beta, smoothing, normalised) in enumerate([(0.1, 0.0, False), (0.5, 0.1, False), (2.0, 0.0, True), (0.3, 0.25, True)]):
        config = {"reference": True, "length_normalised": normalised, "beta": beta, "label_smoothing": smoothing}
        yield case(f"dpo_{seed}", sigmoid, PAIRS, signs, config, 10 + seed)
    for seed, (beta, normalised) in enumerate([(0.1, False), (0.1, True), (1.5, True)]):
        yield case(f"ipo_{seed}", ipo, PAIRS, signs, {"reference": True, "length_normalised": normalised, "beta": beta}, 20 + seed)
    yield case("logistic_pairs", sigmoid, PAIRS, signs, {"reference": False, "length_normalised": True, "beta": 1.0}, 30)
    groups = [2, 3, 5, 8]
    values = [1, 0, 0, 1, 1, 0.5, 0, 1, 0.5, -1, 1, 0, 0, 0, 1, 0, 1, 0]
    for seed, beta in enumerate([1.0, 4.0]):
        yield case(f"info_nce_{seed}", info_nce, groups, values, {"reference": False, "length_normalised": True, "beta": beta}, 40 + seed)


def main(path):
    written = list(cases())
    for one in written:
        if trl_name(one):
            one["trl"] = of_trl(one)
    with open(path, "w", encoding="ascii") as file:
        json.dump({"torch": torch.__version__.split("+")[0], "trl": trl.__version__, "cases": written}, file, indent=0, separators=(",", ":"))
        file.write("\n")
    print(f"{len(written)} cases in {path}, {sum('trl' in one for one in written)} of them also of TRL")


if __name__ == "__main__":
    main(sys.argv[1])
