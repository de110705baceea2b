"""Stock transformers models: what is pushed is what anybody's ``pipeline()`` loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import hub_errors

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DROPOUT_NAMES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "cls_dropout",
    "pooler_dropout",
)


def load_tokenizer(endpoint: Endpoint, repo_id: str, revision: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model repo at a commit.

    Raises:
        UserError: The repo has none that transformers can load.
    """
    from transformers import AutoTokenizer

    with _loading(endpoint, repo_id, revision, "tokenizer"):
        return AutoTokenizer.from_pretrained(
            repo_id, revision=revision, token=endpoint.token or False
        )


def new_classifier(
    endpoint: Endpoint,
    base: str,
    revision: str,
    labels: Sequence[str],
    dropout: float | None = None,
) -> PreTrainedModel:
    """A sequence classifier with a new head on a pretrained base, in float32.

    Args:
        endpoint: The Hub.
        base: Model repo of the pretrained encoder.
        revision: Its commit.
        labels: The classes, in the order of the logits.
        dropout: Replaces every dropout rate of the base; None keeps its own.

    Raises:
        UserError: The repo holds no model that has a sequence classification head.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    with _loading(endpoint, base, revision, "model"):
        config = AutoConfig.from_pretrained(
            base,
            revision=revision,
            token=endpoint.token or False,
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
        )
        if dropout is not None:
            config.update({name: dropout for name in DROPOUT_NAMES if hasattr(config, name)})
        # float32 whatever the checkpoint was saved in: a head that starts in float16 learns badly.
        return AutoModelForSequenceClassification.from_pretrained(
            base,
            config=config,
            revision=revision,
            token=endpoint.token or False,
            dtype="float32",
            ignore_mismatched_sizes=True,
        )


def load_classifier(endpoint: Endpoint, repo_id: str, revision: str) -> PreTrainedModel:
    """A pushed sequence classifier, in float32.

    Raises:
        UserError: The repo holds no fine-tuned sequence classifier.
    """
    from transformers import AutoModelForSequenceClassification

    with _loading(endpoint, repo_id, revision, "model"):
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
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


def max_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input, in tokens, that both model and tokenizer can take."""
    longest = int(tokenizer.model_max_length)
    return min(getattr(model.config, "max_position_embeddings", None) or longest, longest)


@contextmanager
def _loading(endpoint: Endpoint, repo_id: str, revision: str, what: str) -> Iterator[None]:
    """Silence the loader's report about the new head, and say clearly what cannot be loaded."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with hub_errors(endpoint, repo_id, "model", revision):
            try:
                yield
            except (ValueError, OSError, KeyError, RuntimeError) as error:
                if hasattr(error, "response"):
                    raise
                cause = " ".join(str(error).split())[:200]
                raise UserError(
                    f"model repo '{repo_id}' holds no {what} that transformers can load: {cause}"
                ) from error
    finally:
        logging.set_verbosity(level)
