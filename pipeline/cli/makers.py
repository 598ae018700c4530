"""From a sealed artifact back to what makes it now: to make single rows of it once more."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pipeline.differences import recipe_differences
from pipeline.errors import ManifestError, MissingInputError, UsageError
from pipeline.plan import sealed_node
from stages.corrupt.naming import is_imported, split_name
from stages.embed.features import PATCH_FEATURES, TOKEN_FEATURES
from stages.embed.prompt_rows import PROMPT_EMBEDDINGS
from stages.vocabulary import CORRUPTIONS, EMBEDDINGS

if TYPE_CHECKING:
    from pipeline.artifact import Artifact, Manifest
    from pipeline.cli.study import Study
    from pipeline.recipe import SealedRecipe
    from pipeline.unit import Node

_FEATURES = (PATCH_FEATURES, TOKEN_FEATURES)
_REPEATED = (CORRUPTIONS, EMBEDDINGS, PROMPT_EMBEDDINGS, *_FEATURES)


def is_made_by_rows(manifest: Manifest) -> bool:
    """Return whether single rows can be made once more: of rendered sets and of embeddings."""
    imported = manifest.stage == CORRUPTIONS and is_imported(manifest.name.partition("/")[0])
    return manifest.stage in _REPEATED and not imported


def encoder_of(manifest: Manifest) -> str:
    """Return the encoder that made an artifact; the empty string for a set."""
    return "" if manifest.stage == CORRUPTIONS else manifest.name.partition("/")[0]


def maker(study: Study, manifest: Manifest, inputs: dict[str, Artifact]) -> Node:
    """Return the node that is declared now for a sealed artifact, over its sealed inputs.

    Raises
    ------
    MissingInputError
        Saying what to do if what made it is not declared, not at hand, or another by now.
    """
    node = declared_maker(study, manifest, inputs)
    found = study.store.sealed(node.recipe)
    if found is None or found.recipe_key != manifest.recipe_key:
        changes = "; ".join(map(str, recipe_differences(manifest, node.recipe)))
        message = (
            f"what makes it has changed ({changes}): build it anew with "
            f"`{_command(study, manifest)}`"
        )
        raise MissingInputError(message)
    return node


def declared_maker(study: Study, manifest: Manifest, inputs: dict[str, Artifact]) -> Node:
    """Return the node that is declared now for a sealed artifact, whatever its key is by now.

    Raises
    ------
    MissingInputError
        Saying what to do if what made it is not declared or not at hand.
    """
    nodes = {role: _input(manifest, role, artifact) for role, artifact in inputs.items()}
    try:
        return _declared(study, manifest, nodes)
    except ManifestError:
        raise
    except UsageError as error:
        message = f"what made it is not declared: {error}; give --manifests if it is yours"
        raise MissingInputError(message) from error
    except MissingInputError as error:
        raise MissingInputError(_with_command(str(error), manifest)) from error


def without_weights(error: MissingInputError, manifest: Manifest) -> MissingInputError:
    """Return the error that an encoder cannot be loaded, with the command that says why."""
    return MissingInputError(_with_command(str(error), manifest))


def _declared(study: Study, manifest: Manifest, inputs: dict[str, Node]) -> Node:
    if manifest.stage == CORRUPTIONS:
        return _set(study, manifest, inputs["images"])
    encoder = encoder_of(manifest)
    study.encoder(encoder)
    if manifest.stage in _FEATURES:
        return _of_blocks(study, manifest, encoder, inputs)
    if "images" in inputs:
        return study.embedding(encoder, inputs["images"])
    if "prompts" in inputs:
        from stages.embed.prompt_rows import prompt_rows_node

        return prompt_rows_node(*study.loaded(encoder), inputs["prompts"])
    return _class_prompts(study, manifest, encoder)


def _of_blocks(study: Study, manifest: Manifest, encoder: str, inputs: Mapping[str, Node]) -> Node:
    from stages.embed.features import patch_node, token_node

    blocks = cast("Sequence[int]", manifest.parameters["blocks"])
    if manifest.stage == TOKEN_FEATURES:
        return token_node(*study.loaded(encoder), inputs["prompts"], blocks)
    return patch_node(*study.loaded(encoder), inputs["images"], blocks)


def _set(study: Study, manifest: Manifest, images: Node) -> Node:
    from stages.corrupt.stage import set_node

    suite, dataset, _, corruption, severity = manifest.name.split("/")
    declared = study.applied_suite(suite, dataset)
    found = declared.corruption(corruption)
    if int(severity) > len(found.severities):
        message = f"{suite} has no severity {severity} of {corruption}"
        raise UsageError(message)
    _, backend = split_name(suite)
    seed = cast("int", manifest.parameters["seed"])
    return set_node(declared, found, int(severity), images, seed, backend, study.device)


def _class_prompts(study: Study, manifest: Manifest, encoder: str) -> Node:
    from stages.embed.stage import ClassPrompt, prompt_node

    _, dataset, prompt_set = manifest.name.split("/")
    rows = cast("Sequence[Sequence[object]]", manifest.parameters["prompts"])
    prompts = [
        ClassPrompt(str(template), cast("int", number), str(name), str(text), bool(absent))
        for template, number, name, text, *absent in rows
    ]
    return prompt_node(*study.loaded(encoder), dataset, prompt_set, prompts)


def _input(manifest: Manifest, role: str, artifact: Artifact) -> Node:
    """Return a sealed input under the key that `manifest` knows it by, which may be an alias."""
    node = sealed_node(artifact.manifest)
    recipe = cast("SealedRecipe", node.recipe)
    key = manifest.document["inputs"][role]["recipe_key"]
    return dataclasses.replace(node, recipe=dataclasses.replace(recipe, sealed_key=key))


def _with_command(message: str, manifest: Manifest) -> str:
    encoder = encoder_of(manifest)
    if not encoder:
        return message
    name = shlex.quote(encoder.partition("@")[0])
    return f"{message}; `pipeline doctor --model {name}` tells more, --weights says where they are"


def _command(study: Study, manifest: Manifest) -> str:
    """Return the command that builds an artifact as it is declared now."""
    if manifest.stage == CORRUPTIONS:
        suite, dataset = manifest.name.split("/")[:2]
        base, backend = split_name(suite)
        rendered = "" if backend == "native" else f" --backend {backend}"
        seed = f" --seed {manifest.parameters['seed']}" if manifest.parameters["seed"] else ""
        return (
            f"pipeline build corruptions --suite {base}{rendered} --datasets {dataset} "
            f"--only {shlex.quote(manifest.name)} {study.options}{seed}"
        )
    encoder = encoder_of(manifest)
    base, _, precision = encoder.partition("@")
    mixed = precision in {"bf16", "fp16"} and encoder not in study.encoders
    chosen = f" --precision {precision}" if mixed else ""
    model = base if chosen else encoder
    if "prompts" in manifest.document["inputs"]:
        which = f"--prompts {shlex.quote(manifest.name.partition('/')[2])}"
    else:
        parameters = manifest.name.split("/")[1:]
        dataset = parameters[1] if len(parameters) == 5 else parameters[0]
        which = f"--datasets {shlex.quote(dataset)}"
    if manifest.stage in _FEATURES:
        blocks = ",".join(map(str, cast("Sequence[int]", manifest.parameters["blocks"])))
        which += f" --features patch --blocks {blocks}"
    return f"pipeline embed --model {shlex.quote(model)}{chosen} {which} {study.options}"
