"""Stock transformers models: what is pushed is what anybody's ``pipeline()`` loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import hub_errors
from hfpipe.inputs.targets import LabelSpec

if TYPE_CHECKING:
    from transformers import (
        BaseImageProcessor,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

TEXT = "AutoModelForSequenceClassification"
DROPOUT_NAMES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "cls_dropout",
    "pooler_dropout",
)


def load_tokenizer(
    endpoint: Endpoint, repo_id: str, revision: str, folder: str = ""
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model repo at a commit.

    Args:
        endpoint: The Hub.
        repo_id: The repo.
        revision: The commit.
        folder: Where in the repo it lies; empty for its root.

    Raises:
        UserError: The repo has none that transformers can load.
    """
    from transformers import AutoTokenizer

    with loading(endpoint, repo_id, revision, "tokenizer"):
        return AutoTokenizer.from_pretrained(
            repo_id, revision=revision, token=endpoint.token or False, subfolder=folder
        )


def load_image_processor(
    endpoint: Endpoint, repo_id: str, revision: str, folder: str = ""
) -> BaseImageProcessor:
    """The image processor of a model repo; arguments and errors as for ``load_tokenizer``."""
    from transformers import AutoImageProcessor

    with loading(endpoint, repo_id, revision, "image processor"):
        return AutoImageProcessor.from_pretrained(
            repo_id, revision=revision, token=endpoint.token or False, subfolder=folder
        )


def scratch_image_processor(scratch: Mapping[str, Any]) -> BaseImageProcessor:
    """An image processor for a model with new weights: scaled to -1 … 1 and to its size.

    Raises:
        UserError: The config does not say how large its images are.
    """
    from transformers import SiglipImageProcessor

    size = (scratch.get("vision_config") or scratch).get("image_size")
    if not isinstance(size, int):
        raise UserError("model.scratch: give vision_config.image_size, the images' size in pixels")
    return SiglipImageProcessor(size={"height": size, "width": size})


def new_classifier(
    endpoint: Endpoint,
    base: str,
    revision: str,
    target: LabelSpec,
    dropout: float | None = None,
    *,
    auto: str = TEXT,
) -> PreTrainedModel:
    """A stock model with a new head on a pretrained base, in float32.

    Args:
        endpoint: The Hub.
        base: Model repo of the pretrained encoder.
        revision: Its commit.
        target: What is to be predicted.
        dropout: Replaces every dropout rate of the base; None keeps its own.
        auto: The Auto class of transformers that has such a head.

    Raises:
        UserError: The repo holds no model that has such a head.
    """
    import transformers

    with loading(endpoint, base, revision, "model"):
        config = transformers.AutoConfig.from_pretrained(
            base, revision=revision, token=endpoint.token or False, **stock_labels(target)
        )
        _set_dropout(config, dropout)
        # float32 whatever the checkpoint was saved in: a head that starts in float16 learns badly.
        return getattr(transformers, auto).from_pretrained(
            base,
            config=config,
            revision=revision,
            token=endpoint.token or False,
            dtype="float32",
            ignore_mismatched_sizes=True,
        )


def scratch_classifier(
    scratch: Mapping[str, Any], target: LabelSpec, dropout: float | None, *, auto: str
) -> PreTrainedModel:
    """A stock model with new weights throughout.

    Args:
        scratch: Its config: ``model_type`` and sizes.
        target: See ``new_classifier``.
        dropout: See there.
        auto: See there.

    Raises:
        UserError: There is no such model type, or no such head for it.
    """
    import transformers

    try:
        config = transformers.AutoConfig.for_model(**scratch, **stock_labels(target))
        _set_dropout(config, dropout)
        return getattr(transformers, auto).from_config(config)
    except (TypeError, ValueError, KeyError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"model.scratch: no model can be made of this config: {cause}") from error


def load_classifier(
    endpoint: Endpoint, repo_id: str, revision: str, auto: str = TEXT
) -> PreTrainedModel:
    """A pushed stock model, in float32.

    Raises:
        UserError: The repo holds none that was fine-tuned.
    """
    import transformers

    with loading(endpoint, repo_id, revision, "model"):
        model, loaded = getattr(transformers, auto).from_pretrained(
            repo_id,
            revision=revision,
            token=endpoint.token or False,
            dtype="float32",
            output_loading_info=True,
        )
    if loaded["missing_keys"]:
        raise UserError(
            f"model repo '{repo_id}' has no trained classification head (missing "
            f"{sorted(loaded['missing_keys'])[0]}): fine-tune it first with hfpipe finetune"
        )
    return model


def stock_labels(target: LabelSpec) -> dict[str, Any]:
    """Labels and problem type as the config of a stock model has them.

    Two labels have two logits there, so that a pipeline names both.

    >>> stock_labels(LabelSpec("y", "binary", ["no", "yes"]))["problem_type"]
    'single_label_classification'
    """
    problem = "single_label_classification" if target.task == "binary" else target.problem_type
    if not target.labels:
        return {"num_labels": 1, "problem_type": problem}
    return {
        "id2label": dict(enumerate(target.labels)),
        "label2id": {label: index for index, label in enumerate(target.labels)},
        "problem_type": problem,
    }


def _set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    if dropout is not None:
        config.update({name: dropout for name in DROPOUT_NAMES if hasattr(config, name)})


def max_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input, in tokens, that both model and tokenizer can take."""
    longest = int(tokenizer.model_max_length)
    return min(getattr(model.config, "max_position_embeddings", None) or longest, longest)


@contextmanager
def loading(endpoint: Endpoint, repo_id: str, revision: str, what: str) -> Iterator[None]:
    """Silence the loader's report about the new head, and say clearly what cannot be loaded."""
    from transformers.utils import logging

    from hfpipe.models.parts.pretrained import broken_files

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with hub_errors(endpoint, repo_id, "model", revision):
            try:
                yield
            except broken_files() as error:
                if hasattr(error, "response"):
                    raise
                cause = " ".join(str(error).split())[:200]
                raise UserError(
                    f"model repo '{repo_id}' holds no {what} that transformers can load: {cause}"
                ) from error
    finally:
        logging.set_verbosity(level)
