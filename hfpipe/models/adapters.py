"""LoRA adapters on a stock model (Hu et al. 2022), by PEFT: trained, pushed alone, loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.targets import LabelSpec
from hfpipe.models.groups import head_modules
from hfpipe.models.stock import loading, new_classifier

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from hfpipe.models.families._base import Origin


def with_adapters(
    model: PreTrainedModel, options: Mapping[str, Any], base: Origin | None
) -> PeftModel:
    """Freeze a model and put adapters on it; its head learns as a whole.

    Args:
        model: A stock classifier.
        options: Names of ``peft.LoraConfig``.
        base: Where its encoder came from, for whoever loads the adapters alone.

    Raises:
        UserError: PEFT refuses the options, or they match no module.
    """
    from peft import LoraConfig, get_peft_model

    _check_targets(model, options.get("target_modules"))
    if base is not None:
        model.name_or_path = base.repo_id
    try:
        config = LoraConfig(
            **{"modules_to_save": head_modules(model), **options},
            revision=base.revision if base else None,
        )
        return get_peft_model(model, config)
    except (TypeError, ValueError) as error:
        raise UserError(f"model.lora: {' '.join(str(error).split())[:300]}") from error


def _check_targets(model: PreTrainedModel, targets: Any) -> None:
    """Each name of a list must be that of a module, or PEFT would pass it over.

    Raises:
        UserError: One is not; the nearest is told.
    """
    if not isinstance(targets, list | tuple):  # none, a regular expression, or all-linear
        return
    paths = [name for name, _ in model.named_modules() if name]
    for target in targets:
        if not any(f".{path}".endswith(f".{target}") for path in paths):
            leaves = sorted({path.rpartition(".")[2] for path in paths})
            raise UserError(
                f"model.lora.target_modules: the model has no module '{target}'"
                f"{nearest(str(target), leaves)}"
            )


def load_adapters(
    endpoint: Endpoint, repo_id: str, revision: str, target: LabelSpec, auto: str
) -> PreTrainedModel:
    """Adapters that were pushed alone, on their base, folded in.

    Raises:
        UserError: The base is gone, or the adapters are not of it.
    """
    from peft import PeftConfig, PeftModel

    with loading(endpoint, repo_id, revision, "adapter"):
        config = PeftConfig.from_pretrained(
            repo_id, revision=revision, token=endpoint.token or False
        )
        base = str(config.base_model_name_or_path)
        model = new_classifier(endpoint, base, str(config.revision or "main"), target, auto=auto)
        adapted = PeftModel.from_pretrained(
            model, repo_id, revision=revision, token=endpoint.token or False
        )
    return adapted.merge_and_unload()
