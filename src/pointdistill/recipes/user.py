"""A recipe in a file of the user's own, with a method or a task that may be its own too: found, made and checked before
anything is trained by it."""

import dataclasses
from inspect import isclass
from typing import Any, TypeVar, get_args, get_type_hints

from pointdistill.files import is_plain
from pointdistill.recipes.downstream.recipe import DownstreamRecipe, Kind
from pointdistill.recipes.recipe import AnyMethod, PretrainRecipe, as_json
from pointdistill.tasks.base import Facts, Task
from pointdistill.tasks.saved import BACKBONES, TASKS
from pointdistill.user_code import UserCode

R = TypeVar("R", PretrainRecipe, DownstreamRecipe)
_OF_A_METHOD = ("learns_from_teacher", "views", "build")
_OF_A_TASK = tuple(sorted({*get_type_hints(Task), *(name for name in vars(Task) if not name.startswith("_"))}))


def load_pretrain_recipe(code: UserCode) -> PretrainRecipe:
    """The pre-training recipe that a file holds, or that a function in it returns.

    Raises:
        DataError: an error in the file, none of that name, or one that is no recipe or whose method lacks what
            `methods.base.MethodConfig` asks for.
    """
    recipe = _made(code, PretrainRecipe)
    method = recipe.method
    missing = [name for name in _OF_A_METHOD if not hasattr(method, name)]
    if missing or not _is_settings(method):
        lacking = f"lacks {', '.join(missing)}" if missing else "is no frozen dataclass"
        raise code.wrong(f"the recipe's method, {type(method).__name__}, {lacking}", "See methods.base.MethodConfig.")
    return recipe


def load_downstream_recipe(code: UserCode) -> DownstreamRecipe:
    """The downstream recipe that a file holds, or that a function in it returns.

    Raises:
        DataError: an error in the file, none of that name, or one that is no recipe or whose task lacks what
            `tasks.base.Task` asks for.
    """
    recipe = _made(code, DownstreamRecipe)
    task: Any = recipe.task
    missing = [name for name in _OF_A_TASK if not hasattr(task, name)]
    if missing or not _is_settings(task):
        lacking = f"lacks {', '.join(missing)}" if missing else "is no frozen dataclass"
        raise code.wrong(f"the recipe's task, {type(task).__name__}, {lacking}", "See tasks.base.Task.")
    if task.store not in get_args(Kind) or task.store != recipe.store:
        raise code.wrong(
            f"the task's store is {task.store!r}, the recipe's {recipe.store!r}", f"{get_args(Kind)} exist."
        )
    with code.telling(f"the type hints of {type(task).__name__}.facts"):
        facts = get_type_hints(type(task).facts).get("return")
    if not (isclass(facts) and issubclass(facts, Facts) and dataclasses.is_dataclass(facts)):
        problem = f"{type(task).__name__}.facts says {facts!r} of what it returns"
        raise code.wrong(problem, "Say so by a type hint: a frozen dataclass derived from tasks.base.Facts.")
    if type(recipe.backbone) not in BACKBONES:
        known = ", ".join(kind.__name__ for kind in BACKBONES)
        raise code.wrong(f"the recipe's backbone is a {type(recipe.backbone).__name__}", f"Take one of {known}.")
    return recipe


def own_method(recipe: PretrainRecipe) -> str | None:
    """The class of a recipe's method that is not one of the package's, and so is not read back by its settings."""
    return None if type(recipe.method) in get_args(AnyMethod) else type(recipe.method).__name__


def own_task(task: Task) -> str | None:
    """The class of a task that is not one of the package's."""
    return None if type(task) in TASKS else type(task).__name__


def _made(code: UserCode, kind: type[R]) -> R:
    found = code.load()
    if callable(found) and not isinstance(found, kind):
        with code.telling(f"{code.name}()"):
            found = found()
    if not isinstance(found, kind):
        problem = f"{code.name} is {type(found).__name__}, no {kind.__name__} nor a function that returns one"
        raise code.wrong(problem)
    if not isinstance(found.name, str) or not is_plain(found.name):
        raise code.wrong(f"the recipe's name is {found.name!r}", "Give it a short one without slashes.")
    try:
        as_json(found)
    except TypeError as error:
        raise code.wrong(f"the settings of {code.name} are no plain values ({error})") from error
    return found


def _is_settings(value: object) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen
